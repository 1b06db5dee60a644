"""The model card: what a run learned from, how far it can be trusted, and with which versions."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.config import Config
from dolorim.dataset.splits import Split
from dolorim.files.tables import write_text
from dolorim.inference.head import Head
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.trials import Recording
from dolorim.metrics.trust_text import trust_sentences
from dolorim.video.time_grid import LEAST_SHARE

_LIBRARIES = ("torch", "lightning", "av", "numpy", "scipy")

_CROSS_VALIDATED = (
    "Cross-validated by animal in {folds} folds: each animal was scored by a network that learned "
    "from others, and whose checkpoint and decoder were chosen by others. The figures are those of "
    "the recipe; this folder holds no network of its own, the folds do (`folds/`)."
)
_SPLIT_BY_ANIMAL = (
    "No animal is in two parts. Only the test animals were not used for anything before they were "
    "scored: the validation animals chose checkpoint and decoder, so their figures are optimistic."
)
_ENDED_EARLY = {
    "max_minutes": " by --max_minutes: with more time it may be better",
    "patience": ": the validation score did not rise any more",
    "stop_at_f1": ": the validation score had reached --stop_at_f1",
}


def write_model_card(
    run: RunFolder, recordings: Sequence[Recording], metrics: dict[str, Any]
) -> None:
    """Write `model_card.md`; `metrics` are those of `metrics.json`, by part."""
    config, ethogram, splits = run.read_config(), run.read_ethogram(), run.read_folds()
    crossed = run.is_cross_validated
    lines = [f"# {run.path.name}", "", _first_sentence(config, ethogram), ""]
    if not crossed:
        lines += [*_head(run.read_head()), ""]
    lines += ["## Data", "", *_data_table(splits, recordings, crossed), ""]
    how = _CROSS_VALIDATED.format(folds=len(splits)) if crossed else _SPLIT_BY_ANIMAL
    lines += [how, ""]
    lines += ["## Training", "", *_training(run, len(splits) if crossed else 0), ""]
    lines += ["## Figures", "", *_figures(metrics, ethogram)]
    if not crossed:
        decoder = json.dumps(run.read_decoder().to_dict(), indent=1)
        lines += ["## Decoder", "", "```json", decoder, "```", ""]
    lines += ["## Made with", "", _versions(config), ""]
    write_text(run.path / "model_card.md", "\n".join(lines))


def _first_sentence(config: Config, ethogram: Ethogram) -> str:
    model, rate_hz = config.model, config.data.run_rate_hz
    kind = f"{model.model_type}, clips of {model.clip_length} frames"
    if model.head in ("linear", "trees"):
        kind = f"{model.head} head on features of frames"
    sentence = (
        f"A dolorim `{config.approach}` model ({kind}) that distinguishes {len(ethogram)} "
        f"behaviors: {', '.join(ethogram.classes)}."
    )
    if rate_hz is None:
        return sentence
    return (
        f"{sentence} It sees {rate_hz:.4g} frames/s: recordings at another rate are resampled, and "
        f"below {LEAST_SHARE * rate_hz:.3g} frames/s fast movements are not in them. Frames are "
        "counted at this rate here."
    )


def _head(head: Head) -> Iterator[str]:
    """What decides, why, and what was compared to choose it."""
    if not head.why:
        return
    yield f"What decides: {head.name} ({head.why})."
    if not head.scores:
        return
    yield ""
    yield "| head | compared on | macro-F1 | F1@50 | standard error of the difference to the best |"
    yield "|---|---|---|---|---|"
    for row in head.scores:
        error = row["standard_error_to_best"]
        yield f"| {row['head']} | {row['on']} | {row['macro_f1']} | {row['f1_50']} | {error} |"


def _data_table(
    splits: Sequence[Split], recordings: Sequence[Recording], crossed: bool
) -> Iterator[str]:
    yield "| part | animals | videos | labeled frames |"
    yield "|---|---|---|---|"
    for k, split in enumerate(splits):
        for part in ("test",) if crossed else ("train", "val", "test"):
            animals = getattr(split, part)
            chosen = [r for r in recordings if r.animal in animals]
            n_frames = sum(int(np.sum(r.labels >= 0)) for r in chosen)
            name = f"left out in fold {k}" if crossed else part
            yield f"| {name} | {', '.join(animals) or '-'} | {len(chosen)} | {n_frames} |"


def _training(run: RunFolder, folds: int) -> Iterator[str]:
    """One sentence on how training ended, for the run or for each of its folds."""
    parts = {"Training": run}
    if folds:
        parts = {f"Fold {k}": run.fold(k) for k in range(folds)}
    for name, part in parts.items():
        record = part.read_training()
        if record is not None:
            reason = _ENDED_EARLY.get(record.ended_by, "")
            verb = "ended early" if reason else "ran its course"
            yield f"{name} {verb} in epoch {record.epoch} of {record.epochs}{reason}."


def _figures(metrics: dict[str, Any], ethogram: Ethogram) -> list[str]:
    lines = []
    if not metrics:
        lines.append("None: no animals were held out.")
    sentences = trust_sentences(metrics, ethogram.indicator, ethogram.background)
    lines += [*(f"- {sentence}" for sentence in sentences), ""]
    for part, scores in metrics.items():
        lines += _part_figures(part, scores)
    return lines


def _part_figures(part: str, scores: dict[str, Any]) -> Iterator[str]:
    """The figures of one part; each paragraph is followed by an empty line."""
    animals = ", ".join(scores["animals"])
    if not scores["frames"]:
        yield from (f"**{part}**: {animals}, without labels.", "")
        yield from _keypoints(scores)
        return
    optimistic = ""
    if part == "val":
        optimistic = " (optimistic: these animals chose checkpoint and decoder)"
    summary = _scores(scores)
    yield from (f"**{part}**{optimistic}: {scores['frames']} frames of {animals}; {summary}.", "")
    if ends := scores["intervals"].get("macro_f1"):
        low, high = ends
        yield from (f"95 % interval of macro-F1 over animals: {low:.3f} to {high:.3f}.", "")
    if "argmax" in scores and scores["argmax"]["segments"] != scores["segments"]:
        plain = _scores(scores["argmax"])
        yield f"Decoder {scores['decoder']}; the likeliest class of each frame alone gives {plain}."
        yield ""
    yield from _keypoints(scores)
    if "by_fold" in scores:
        yield from (f"Macro-F1 by fold: {'; '.join(map(_fold_score, scores['by_fold']))}.", "")
    if scores.get("seen_in_training"):
        seen = ", ".join(scores["seen_in_training"])
        yield f"**Seen in training: {seen}.** These figures say nothing about new animals."
        yield ""
    if scores.get("seen_unlabelled"):
        seen = ", ".join(scores["seen_unlabelled"])
        yield f"**Seen without labels: {seen}.** The encoder had learned from their videos before."
        yield ""
    yield from _class_table(scores["per_class"])


def _class_table(per_class: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "| class | precision | recall | F1 | frames | expected / true |"
    yield "|---|---|---|---|---|---|"
    for name, scores in per_class.items():
        figures = " | ".join(f"{scores[key]:.3f}" for key in ("precision", "recall", "f1"))
        ratio = scores.get("expected_over_true")
        expected = "-" if ratio is None else f"{ratio:.2f}"
        yield f"| {name} | {figures} | {scores['support']} | {expected} |"
    yield ""
    yield (
        "*Expected / true*: the sum of a class's probabilities over the number of its true frames; "
        "1 is right on average."
    )
    yield ""


def _fold_score(fold: dict[str, Any]) -> str:
    return f"{fold['fold']} ({', '.join(fold['animals'])}) {fold['macro_f1']:.3f}"


def _keypoints(scores: dict[str, Any]) -> list[str]:
    points = scores.get("keypoints", {})
    if not points.get("points"):
        return []
    sentence = (
        f"Keypoints: mean error {points['mae_px']:.2f} px, {points['mae_normalized']:.4f} of the "
        f"crop's side, {points['mae_body_lengths']:.4f} body lengths ({points['points']} points)."
    )
    return [sentence, ""]


def _scores(scores: dict[str, Any]) -> str:
    return (
        f"accuracy {scores['accuracy']:.3f}, macro-F1 {scores['macro_f1']:.3f}, "
        f"kappa {scores['kappa']:.3f}, segment F1@50 {scores['segments']['f1_50']:.1f}, "
        f"edit {scores['segments']['edit']:.1f}"
    )


def _versions(config: Config) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    python = platform.python_version()
    return f"dolorim {__version__}, Python {python}, {libraries}; seed {config.train.seed}."
