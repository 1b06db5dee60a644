"""The model card: what a run learned from, how far it can be trusted, and with which versions."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.core.recording import Recording
from dolorim.engine.run_folder import RunFolder
from dolorim.formats.table import write_text

_LIBRARIES = ("torch", "lightning", "av", "numpy", "scipy")


def write_model_card(run: RunFolder, recordings: Sequence[Recording], metrics: dict[str, Any]) -> None:
    """Write `model_card.md`."""
    config, ethogram, split = run.read_config(), run.read_ethogram(), run.read_split()
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
    for part in ("train", "val", "test"):
        animals = getattr(split, part)
        mine = [r for r in recordings if r.animal in animals]
        frames = sum(int(np.sum(r.labels >= 0)) for r in mine)
        lines.append(f"| {part} | {', '.join(animals) or '-'} | {len(mine)} | {frames} |")
    lines += [
        "",
        "No animal stands in two parts. Only the test animals were seen by nobody before they were scored.",
        "",
    ]
    lines += ["## Figures", ""]
    if not metrics:
        lines.append("None: no animals were held out.")
    for part, found in metrics.items():
        lines += [
            f"**{part}** ({found['frames']} frames of {', '.join(found['animals'])}): "
            f"accuracy {found['accuracy']:.3f}, macro-F1 {found['macro_f1']:.3f}, kappa {found['kappa']:.3f}, "
            f"segment F1@50 {found['segments']['f1_50']:.1f}, edit {found['segments']['edit']:.1f}.",
            "",
            "| class | precision | recall | F1 | frames |",
            "|---|---|---|---|---|",
        ]
        for name, c in found["per_class"].items():
            lines.append(f"| {name} | {c['precision']:.3f} | {c['recall']:.3f} | {c['f1']:.3f} | {c['support']} |")
        lines.append("")
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    lines += [
        "## Made with",
        "",
        f"dolorim {__version__}, Python {platform.python_version()}, {libraries}; seed {config.train.seed}.",
        "",
    ]
    write_text(run.path / "model_card.md", "\n".join(lines))
