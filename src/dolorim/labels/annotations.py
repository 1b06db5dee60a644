"""Labels in any format: which one a file has is told by its content."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dolorim.core.errors import UserError
from dolorim.files.tables import HEADER_WITHIN, read_cells, read_text
from dolorim.labels import boris, bout_table, caltech, nwb, one_hot
from dolorim.labels.boris_project import is_project
from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.label_files import LabelFile, has_label_columns, read_labels

if TYPE_CHECKING:
    from dolorim.config import DataConfig

SUFFIXES = (".csv", ".tsv", ".txt", ".nwb", ".boris")
FORMATS = {
    "frames": "Frame,Action: one row a frame",
    "boris": "tabular or aggregated events of BORIS, or a project of it",
    "deepethogram": "one column a behavior, and background",
    "simba": "SimBA's targets_inserted",
    "caltech": "text of the Caltech Behavior Annotator",
    "bouts": "start,stop,label",
    "nwb": "intervals with labels",
}
_POSE = ("x", "y", "p", "likelihood")


def sniff(path: Path) -> str | None:
    """The name of a label file's format, a key of `FORMATS`; None for a file of none of them. Raises `UserError`."""
    if path.suffix.casefold() == ".nwb":
        return "nwb"
    if is_project(path):
        return "boris"
    if any(caltech.TITLE in line.casefold() for line in read_text(path)[:1000].splitlines()[:5]):
        return "caltech"
    top = [cells for _, cells in itertools.islice(read_cells(path, boris.is_header), HEADER_WITHIN)]
    if any(boris.is_header(cells) for cells in top):
        return "boris"
    header = [c.strip() for c in top[0]] if top else []
    if has_label_columns(header):
        return "frames"
    if bout_table.columns_of(header):
        return "bouts"
    rows = [r for r in top[1:] if len(r) == len(header)]
    if len(header) < 2 or not rows:
        return None
    flags = [all(one_hot.is_flag(r[i]) for r in rows) for i in range(len(header))]
    posed = _pose_columns(header)
    if all(flags[1:]) and not any(posed):
        return (
            "deepethogram" if one_hot.BACKGROUND in [h.casefold() for h in header[:2]] else "simba"
        )
    return "simba" if sum(posed) >= 2 and flags[-1] and not posed[-1] else None


def _pose_columns(header: Sequence[str]) -> list[bool]:
    """Which columns are coordinates of a point, `nose_x,nose_y,nose_p`.

    A name alone does not say so, as a behavior may be called `c_p`: a point has an x and a y.
    """
    parts = [name.casefold().rpartition("_") for name in header]
    kinds: dict[str, set[str]] = {}
    for point, _, kind in parts:
        kinds.setdefault(point, set()).add(kind)
    return [kind in _POSE and {"x", "y"} <= kinds[point] for point, _, kind in parts]


def read_annotations(
    path: Path,
    ethogram: Ethogram,
    config: DataConfig,
    conflicts: Conflicts,
    wanted: Callable[[str], bool] = lambda media: True,
) -> dict[str, LabelFile | Events]:
    """The labels in a file, by the video that the file itself names; "" where it names none.

    `wanted` says of which videos they are asked for. Raises `UserError` for what cannot be read.
    """
    kind = sniff(path) if config.label_format == "auto" else config.label_format
    gaps = gap_class(config, ethogram)
    match kind:
        case "boris":
            found = boris.read_boris(
                path, ethogram, config.label_stream, conflicts, wanted, config.point_events
            )
            return dict(found)
        case "caltech":
            return {"": caltech.caltech_events(path, ethogram, config.label_stream, conflicts)}
        case "bouts":
            return {"": bout_table.read_bout_table(path, ethogram, conflicts)}
        case "deepethogram":
            return {"": one_hot.read_deepethogram(path, ethogram, gaps, conflicts)}
        case "simba":
            return {"": one_hot.read_simba(path, ethogram, gaps, conflicts)}
        case "nwb":
            return {"": nwb.read_nwb(path, ethogram, conflicts)}
        case _:  # what a file of no known format lacks is said in terms of our own
            return {"": read_labels(path, ethogram)}


def gap_class(config: DataConfig, ethogram: Ethogram) -> int:
    """The class of frames that bouts leave out. Raises `UserError` for a name that is no class."""
    if not config.label_gaps:
        return UNLABELED
    if config.label_gaps not in ethogram.classes:
        raise UserError(
            f"label_gaps: no class is called {config.label_gaps!r}; there are {', '.join(ethogram.classes)}"
        )
    return ethogram.classes.index(config.label_gaps)
