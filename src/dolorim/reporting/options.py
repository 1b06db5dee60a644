"""What a report is asked for: the settings of `dolorim report`, checked before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.files.tables import head_of


@dataclass(frozen=True)
class ReportOptions:
    """The settings of one report, by the names of their flags.

    `labels` says how label files are read, and `times_of` when the frames of a video are shown.
    """

    predictions: Path
    groups: Path
    assay: str = "whole"
    out: Path = Path("dolorim-report")
    bin: str | None = None
    control: str | None = None
    pain: tuple[str, ...] = ()
    second_factor: str | None = None
    within: str | None = None
    covariates: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    stimuli: Path | None = None
    von_frey: Path | None = None
    hand_tests: Path | None = None
    hand_labels: Path | None = None
    clips: int = 3
    run: Path | None = None
    classes: Path | None = None
    rate_hz: float | None = None
    correction: str = "holm"
    title: str | None = None
    seed: int = 0
    agreement: Path | None = None
    labels: DataConfig | None = None
    times_of: Callable[[Path], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is not None and self.rate_hz <= 0:
            raise UserError(f"--rate_hz {self.rate_hz:g}: expected frames per second, above 0")
        if self.clips < 0:
            raise UserError(f"--clips {self.clips}: expected a number of bouts, or 0 for none")
        if self.correction not in ("holm", "fdr"):
            raise UserError(f"--correction {self.correction}: expected holm or fdr")

    def shown(self) -> dict[str, Any]:
        """The settings that differ from the usual ones, for the page that tells how it was made."""
        named = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        # The settings of labels follow by their own names; a function is no setting.
        del named["labels"], named["times_of"]
        settings = {name: value for name, value in named.items() if value not in (None, ())}
        if self.labels is not None:
            usual = DataConfig()
            for field in dataclasses.fields(self.labels):
                value = getattr(self.labels, field.name)
                if value != getattr(usual, field.name):
                    settings[field.name] = value
        return settings


def refuse_foreign_tables(out: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Raise `UserError` where the folder holds tables of the lab under the names of a report's.

    `columns` are those of the tables to write. A file that shares most of them is of an earlier
    report, which is written again.
    """
    taken = [name for name in columns if _is_foreign(out / f"{name}.csv", columns[name])]
    if taken:
        raise UserError(
            f"{out}: already holds {', '.join(f'{name}.csv' for name in taken)}, which no report "
            f"has written; choose an empty folder with --out"
        )


def _is_foreign(path: Path, columns: Sequence[str]) -> bool:
    if not path.exists():
        return False
    header = next(iter(head_of(path, 1)), [])
    return 2 * len(set(columns).intersection(header)) <= len(columns)
