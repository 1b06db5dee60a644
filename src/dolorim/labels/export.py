"""Predictions in the formats of other tools, each with a note of where they come from."""

from __future__ import annotations

import json
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


def export_predictions(
    folder: Path,
    predictions: Predictions,
    to: Target,
    pose: Pose | None = None,
    facts: SessionFacts | None = None,
) -> Path:
    """Write one video's predictions for another tool and return the file.

    A table has no room for the provenance: it goes to `<name>.provenance.json` beside it. Only NWB
    holds the pose, the animal, and the start of the session. Raises `UserError` for a file that
    cannot be written.
    """
    path = folder / f"{predictions.name}{ENDINGS[to]}"
    origin = provenance(predictions)
    match to:
        case "boris":
            run = origin.get("run", "an unknown run")
            source = f"{origin['exported_by']}, run {run}, video {_video_hash(origin)}"
            write_boris(path, predictions, source)
        case "deepethogram":
            write_deepethogram(path, predictions)
        case "simba":
            write_simba(path, predictions)
        case "bouts":
            write_bout_table(path, predictions)
        case "nwb":
            write_nwb(path, predictions, origin, pose, facts)
            return path  # NWB holds the provenance itself
    provenance_path = folder / f"{predictions.name}.provenance.json"
    write_text(provenance_path, json.dumps(origin, indent=1, default=str) + "\n")
    return path


def _video_hash(origin: dict[str, Any]) -> str:
    fingerprint = origin.get("fingerprint")
    if isinstance(fingerprint, dict):
        return str(fingerprint.get("ends"))
    return str(fingerprint or "of unknown hash")
