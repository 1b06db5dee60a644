"""Predictions in the formats of other tools, each with a note of where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from dolorim import __version__
from dolorim.files.tables import write_text
from dolorim.labels.boris import write_boris
from dolorim.labels.bout_table import write_bout_table
from dolorim.labels.nwb import write_nwb
from dolorim.labels.nwb_subject import SessionFacts
from dolorim.labels.one_hot import write_deepethogram, write_simba
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose import Pose

Target = Literal["boris", "deepethogram", "simba", "bouts", "nwb"]
ENDINGS: dict[Target, str] = {
    "boris": ".boris.csv",
    "deepethogram": "_labels.csv",
    "simba": ".csv",
    "bouts": ".bouts.csv",
    "nwb": ".nwb",
}


def provenance(predictions: Predictions) -> dict[str, Any]:
    """Where predictions come from: run, versions and the video's hash, as in `meta.json`."""
    return {
        "exported_by": f"dolorim {__version__}",
        "recording": predictions.name,
        **predictions.meta,
    }


def export_to_boris(folder: Path, recordings: Sequence[Predictions]) -> Path:
    """Write a video's predictions as one observation of BORIS, with a subject per chamber.

    `recordings` are the chambers of the video, or the video alone. Raises `UserError` for a file
    that cannot be written.
    """
    first = recordings[0]
    origin = provenance(first)
    run = origin.get("run", "an unknown run")
    source = f"{origin['exported_by']}, run {run}, video {_video_hash(origin)}"
    path = folder / f"{first.video_name}{ENDINGS['boris']}"
    write_boris(path, recordings, source)
    for predictions in recordings:
        _write_provenance(folder, predictions)
    return path


def export_predictions(
    folder: Path,
    predictions: Predictions,
    to: Target,
    pose: Pose | None = None,
    facts: SessionFacts | None = None,
) -> Path:
    """Write one recording's predictions for another tool and return the file.

    A table has no room for the provenance: it goes to `<name>.provenance.json` beside it. Only NWB
    holds the pose, the animal, and the start of the session. Raises `UserError` for a file that
    cannot be written.
    """
    path = folder / f"{predictions.name}{ENDINGS[to]}"
    match to:
        case "boris":
            return export_to_boris(folder, [predictions])
        case "deepethogram":
            write_deepethogram(path, predictions)
        case "simba":
            write_simba(path, predictions)
        case "bouts":
            write_bout_table(path, predictions)
        case "nwb":
            write_nwb(path, predictions, provenance(predictions), pose, facts)
            return path  # NWB holds the provenance itself
    _write_provenance(folder, predictions)
    return path


def _write_provenance(folder: Path, predictions: Predictions) -> None:
    text = json.dumps(provenance(predictions), indent=1, default=str)
    write_text(folder / f"{predictions.name}.provenance.json", text + "\n")


def _video_hash(origin: dict[str, Any]) -> str:
    fingerprint = origin.get("fingerprint")
    if isinstance(fingerprint, dict):
        return str(fingerprint.get("ends"))
    return str(fingerprint or "of unknown hash")
