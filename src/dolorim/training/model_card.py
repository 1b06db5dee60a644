"""The model card: what a run learned from, how far it can be trusted, and with which versions."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.files.tables import write_text
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.trials import Recording
from dolorim.metrics.trust_text import trust_sentences

_LIBRARIES = ("torch", "lightning", "av", "numpy", "scipy")


def write_model_card(
    run: RunFolder, recordings: Sequence[Recording], metrics: dict[str, Any]
) -> None:
    """Write `model_card.md`."""
    config, ethogram, splits = run.read_config(), run.read_ethogram(), run.read_folds()
    crossed = run.is_cross_validated
    lines = [
        f"# {run.path.name}",
        "",
        f"A dolorim `{config.approach}` model ({config.model.model_type}, clips of {config.model.clip_length} frames) "
        f"that tells {len(ethogram)} behaviors apart: {', '.join(ethogram.classes)}.",
        "",
        "## Data",
        "",
        "| part | animals | videos | labelled frames |",
        "|---|---|---|---|",
    ]
    for k, split in enumerate(splits):
        for part in ("test",) if crossed else ("train", "val", "test"):
            animals = getattr(split, part)
            mine = [r for r in recordings if r.animal in animals]
            frames = sum(int(np.sum(r.labels >= 0)) for r in mine)
            name = f"left out in fold {k}" if crossed else part
            lines.append(f"| {name} | {', '.join(animals) or '-'} | {len(mine)} | {frames} |")
    lines.append("")
    if crossed:
        lines += [
            f"Cross-validated by animal in {len(splits)} folds: each animal was scored by a network that learned from "
            f"others, whose checkpoint and decoder were chosen by others. The figures are of the recipe; this folder "
            f"holds no network of its own, the folds do (`folds/`).",
            "",
        ]
    else:
        lines += [
            "No animal stands in two parts. Only the test animals were seen by nobody before they were scored: "
            "checkpoint and decoder were chosen by the validation animals, so that their figures are optimistic.",
            "",
        ]
    lines += ["## Training", "", *_training(run, len(splits) if crossed else 0), ""]
    lines += ["## Figures", ""]
    if not metrics:
        lines.append("None: no animals were held out.")
    sentences = trust_sentences(metrics, ethogram.indicator, ethogram.background)
    lines += [*(f"- {sentence}" for sentence in sentences), ""]
    for part, found in metrics.items():
        lines += _figures(part, found)
    if not crossed:
        lines += [
            "## Decoder",
            "",
            "```json",
            json.dumps(run.read_decoder().to_dict(), indent=1),
            "```",
            "",
        ]
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    lines += [
        "## Made with",
        "",
        f"dolorim {__version__}, Python {platform.python_version()}, {libraries}; seed {config.train.seed}.",
        "",
    ]
    write_text(run.path / "model_card.md", "\n".join(lines))


def _training(run: RunFolder, folds: int) -> list[str]:
    """How far training came: of a run, or of each of its folds."""
    parts = {f"Fold {k}": run.fold(k) for k in range(folds)} if folds else {"Training": run}
    lines = []
    for name, part in parts.items():
        found = part.read_training()
        if found:
            why = {
                "max_minutes": " by --max_minutes: with more time it may be better",
                "patience": ": the validation score did not rise any more",
            }.get(found["ended_by"], "")
            verb = "ended early" if why else "ran its course"
            lines.append(f"{name} {verb} in epoch {found['epoch']} of {found['epochs']}{why}.")
    return lines


def _figures(part: str, found: dict[str, Any]) -> list[str]:
    if not found["frames"]:
        return [
            f"**{part}**: {', '.join(found['animals'])}, without labels.",
            "",
            *_keypoints(found),
        ]
    optimistic = (
        " (optimistic: these animals chose checkpoint and decoder)" if part == "val" else ""
    )
    lines = [
        f"**{part}**{optimistic}: {found['frames']} frames of {', '.join(found['animals'])}; {_scores(found)}.",
        "",
    ]
    if ends := found["intervals"].get("macro_f1"):
        lines += [f"95 % interval of macro-F1 over animals: {ends[0]:.3f} to {ends[1]:.3f}.", ""]
    if "argmax" in found and found["argmax"]["segments"] != found["segments"]:
        plain = _scores(found["argmax"])
        lines += [
            f"Decoder {found['decoder']}; the likeliest class of each frame alone gives {plain}.",
            "",
        ]
    lines += _keypoints(found)
    if "by_fold" in found:
        each = [
            f"{f['fold']} ({', '.join(f['animals'])}) {f['macro_f1']:.3f}" for f in found["by_fold"]
        ]
        lines += [f"Macro-F1 by fold: {'; '.join(each)}.", ""]
    if found.get("seen_in_training"):
        seen = ", ".join(found["seen_in_training"])
        lines += [f"**Seen in training: {seen}.** These figures say nothing about new animals.", ""]
    lines += [
        "| class | precision | recall | F1 | frames | expected / true |",
        "|---|---|---|---|---|---|",
    ]
    for name, c in found["per_class"].items():
        ratio = c.get("expected_over_true")
        figures = " | ".join(f"{c[key]:.3f}" for key in ("precision", "recall", "f1"))
        expected = "-" if ratio is None else f"{ratio:.2f}"
        lines.append(f"| {name} | {figures} | {c['support']} | {expected} |")
    lines += [
        "",
        "*Expected / true*: the sum of a class's probabilities over its true frames; 1 is right on average.",
    ]
    return [*lines, ""]


def _keypoints(found: dict[str, Any]) -> list[str]:
    points = found.get("keypoints", {})
    if not points.get("points"):
        return []
    return [
        f"Keypoints: mean error {points['mae_px']:.2f} px, {points['mae_normalized']:.4f} of the crop's side, "
        f"{points['mae_body_lengths']:.4f} body lengths ({points['points']} points).",
        "",
    ]


def _scores(found: dict[str, Any]) -> str:
    return (
        f"accuracy {found['accuracy']:.3f}, macro-F1 {found['macro_f1']:.3f}, kappa {found['kappa']:.3f}, "
        f"segment F1@50 {found['segments']['f1_50']:.1f}, edit {found['segments']['edit']:.1f}"
    )
