"""What a report shows: a study's observations, its tables, and the question that it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dolorim.reporting.assays import Assay
from dolorim.reporting.clips import Clip
from dolorim.reporting.doses import Doses
from dolorim.reporting.observations import Observations


@dataclass(frozen=True)
class StudyResults:
    """Everything that the figures, the tables and the page are made from."""

    observations: Observations
    assay: Assay
    tables: Mapping[str, pd.DataFrame]
    """Those of `collect` with `statistics`, and `corrected` where time budgets can be corrected."""
    pain: Sequence[str]
    """Pain behaviors, the indicator first."""
    locomotion: Sequence[str]
    doubts: Mapping[str, str] = field(default_factory=dict)
    """By behavior, why the run's labels say nothing about it (`Trust.doubt`)."""
    doses: Doses | None = None
    """Where the study has them, with the tables `doses` and `dose_response`."""
    clips: tuple[Clip, ...] = ()

    @property
    def behaviors_in_focus(self) -> list[str]:
        """Pain behaviors, then those that say how much an animal moves."""
        return [*self.pain, *self.locomotion]

    def select(self, table: str, window: str, behavior: str, readout: str) -> pd.DataFrame:
        """The rows of a table about one read-out of one behavior in one window."""
        rows = self.tables[table]
        wanted = rows.window == window
        wanted &= rows.behavior == behavior
        wanted &= rows.readout == readout
        return rows[wanted]
