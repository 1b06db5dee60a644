"""Labels in any format: the content of a file tells which one it has."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dolorim.core.errors import UserError
from dolorim.files.naming import NOTES
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
    "frames": "Frame,Action: one row per frame",
    "boris": "tabular or aggregated events of BORIS, or a project of it",
    "deepethogram": "one column per behavior, and background",
    "simba": "SimBA's targets_inserted",
    "caltech": "text of the Caltech Behavior Annotator",
    "bouts": "start,stop,label",
    "nwb": "intervals with labels",
}
# With fewer rows, a column of frame numbers could be all 0 and 1.
_FEW_ROWS = 3
_POSE = ("x", "y", "p", "likelihood")


def is_named_like_labels(path: Path) -> bool:
    """Whether a file may hold labels, by its name."""
    return path.suffix.casefold() in SUFFIXES and not path.name.casefold().endswith(NOTES)


def sniff(path: Path) -> str | None:
    """The name of a label file's format, a key of `FORMATS`; None for a file of no known format.

    Raises `UserError` for a file that cannot be read.
    """
    if path.suffix.casefold() == ".nwb":
        return "nwb"
    if is_project(path):
        return "boris"
    if caltech.has_title(read_text(path)[:1000]):
        return "caltech"
    top = [cells for _, cells in itertools.islice(read_cells(path, boris.is_header), HEADER_WITHIN)]
    if len(top) > _FEW_ROWS and one_hot.begins_like_one(top[0]):
        # Behaviors may be called Start, Stop or Frame, so the names do not tell the format here.
        one_hot_format = _sniff_one_hot([cell.strip() for cell in top[0]], top[1:])
        if one_hot_format is not None:
            return one_hot_format
    if any(boris.is_header(cells) for cells in top):
        return "boris"
    if not top:
        return None
    return _sniff_table(top)


def _sniff_table(top: Sequence[Sequence[str]]) -> str | None:
    """The format of a table with a header in its first row; None for no known format."""
    header = [cell.strip() for cell in top[0]]
    if has_label_columns(header):
        return "frames"
    if bout_table.columns_of(header):
        return "bouts"
    return _sniff_one_hot(header, top[1:])


def _sniff_one_hot(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """Which format with one column per behavior this is: "deepethogram", "simba" or None."""
    full_rows = [row for row in rows if len(row) == len(header)]
    if len(header) < 2 or not full_rows:
        return None
    columns = zip(*full_rows, strict=True)
    has_flags = [all(map(one_hot.is_flag, column)) for column in columns]
    is_pose = _pose_columns(header)
    if all(has_flags[1:]) and not any(is_pose):
        # DeepEthogram's background is the first column, or follows the index of the frame.
        if one_hot.BACKGROUND in [name.casefold() for name in header[:2]]:
            return "deepethogram"
        return "simba"
    # SimBA's behaviors follow pose and features, so its last column is a behavior.
    if sum(is_pose) >= 2 and has_flags[-1] and not is_pose[-1]:
        return "simba"
    return None


def _pose_columns(header: Sequence[str]) -> list[bool]:
    """Which columns are coordinates of a point, `nose_x,nose_y,nose_p`.

    The suffix alone does not tell, as a behavior may be called `c_p`: a point has an x and a y.
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

    `wanted` tells whether the labels of a video are needed; those of other videos are not read.
    Raises `UserError` for a file that cannot be read.
    """
    gap_label = gap_class(config, ethogram)
    match _format_of(path, config):
        case "boris":
            return dict(boris.read_boris(path, ethogram, config, conflicts, wanted))
        case "caltech":
            return {"": caltech.caltech_events(path, ethogram, config.label_stream, conflicts)}
        case "bouts":
            return {"": bout_table.read_bout_table(path, ethogram, conflicts)}
        case "deepethogram":
            return {"": one_hot.read_deepethogram(path, ethogram, gap_label, conflicts)}
        case "simba":
            return {"": one_hot.read_simba(path, ethogram, gap_label, conflicts)}
        case "nwb":
            return {"": nwb.read_nwb(path, ethogram, conflicts)}
        case _:  # for an unknown format, the error says what `Frame,Action` needs
            return {"": read_labels(path, ethogram)}


def _format_of(path: Path, config: DataConfig) -> str | None:
    """The format of a label file: what the settings say, else what its content looks like."""
    if config.label_format == "auto":
        return sniff(path)
    return config.label_format


def streams_in(path: Path, config: DataConfig) -> list[str]:
    """The subjects or streams that a label file names; none for formats that know no animals."""
    match _format_of(path, config):
        case "boris":
            return boris.subjects_of(path)
        case "caltech":
            return caltech.streams_of(path)
        case _:
            return []


def gap_class(config: DataConfig, ethogram: Ethogram) -> int:
    """The class of frames outside all bouts. Raises `UserError` for a name that is no class."""
    if not config.label_gaps:
        return UNLABELED
    if config.label_gaps not in ethogram.classes:
        raise UserError(
            f"label_gaps: no class is called {config.label_gaps!r}; there are "
            f"{', '.join(ethogram.classes)}"
        )
    return ethogram.classes.index(config.label_gaps)
