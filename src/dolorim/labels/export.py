"""Predictions in the formats of other tools, each with a note of where they come from."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from dolorim import __version__
from dolorim.files.tables import write_text
from dolorim.labels.boris import write_boris
from dolorim.labels.bout_table import write_bout_table
from dolorim.labels.nwb import write_nwb
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
    """Where predictions come from: run, versions and the video's hash, as they stand in `meta.json`."""
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
    session_start: datetime | None = None,
) -> Path:
    """Write one video's predictions for another tool and return the file.

    Beside a table, which has no room for it, the provenance is `<name>.provenance.json`. The pose and the start of the
    session go to NWB only.
    """
    path = folder / f"{predictions.name}{ENDINGS[to]}"
    origin = provenance(predictions)
    match to:
        case "boris":
            run = origin.get("run", "an unknown run")
            write_boris(
                path, predictions, f"{origin['exported_by']}, run {run}, video {_hash(origin)}"
            )
        case "deepethogram":
            write_deepethogram(path, predictions)
        case "simba":
            write_simba(path, predictions)
        case "bouts":
            write_bout_table(path, predictions)
        case "nwb":
            write_nwb(path, predictions, origin, pose, session_start)
            return path
    write_text(
        folder / f"{predictions.name}.provenance.json",
        json.dumps(origin, indent=1, default=str) + "\n",
    )
    return path


def _hash(origin: dict[str, Any]) -> str:
    known = origin.get("fingerprint")
    return str(known.get("ends") if isinstance(known, dict) else known or "of unknown hash")
