"""Which tests are corrected together. Every test belongs to one family, and has one corrected p."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

PAIR = " (pair)"
MAIN, MOVEMENT = "main question", "movement"
_METHODS = {"holm": "holm", "fdr": "fdr_bh"}


@dataclass(frozen=True)
class Question:
    """What the assay asks: one behavior and read-out in its primary windows, and whether animals move less."""

    indicator: str
    readout: str
    windows: tuple[str, ...]
    locomotion: tuple[str, ...] = ()


def adjust(
    table: pd.DataFrame,
    correction: str,
    question: Question | None = None,
    control: str | None = None,
) -> pd.DataFrame:
    """Adds `family`, `p_adjusted` and `smallest_adjusted`, by Holm (1979) or Benjamini & Hochberg (1995).

    The main question is one family: the test of all groups and each pair with the control, in all
    primary windows. Movement is another. All other tests are corrected over behaviors, for one test of
    one read-out in one window, and other pairs over the pairs of one behavior. `smallest_adjusted` is
    the smallest corrected p that so many animals allow.
    """
    table["family"] = _families(table, question, control)
    table["p_adjusted"] = np.nan
    table["smallest_adjusted"] = np.nan
    for _, rows in table[table.p.notna()].groupby("family", sort=False):
        smallest = rows.smallest_p.fillna(0).to_numpy(float)
        table.loc[rows.index, "p_adjusted"] = _adjusted(rows.p.to_numpy(float), correction)
        table.loc[rows.index, "smallest_adjusted"] = _adjusted(smallest, correction)
    return table


def _adjusted(p: np.ndarray, correction: str) -> np.ndarray:
    return np.asarray(multipletests(p, method=_METHODS[correction])[1])


def _families(table: pd.DataFrame, question: Question | None, control: str | None) -> Sequence[str]:
    found = []
    for row in table.itertuples():
        pair = row.test.endswith(PAIR)
        name = f"{row.test} of {row.readout} in {row.window}"
        if question is not None and row.is_rank_test and row.window in question.windows:
            asked = row.readout == question.readout and row.behavior == question.indicator
            moves = row.readout == "time_percent" and row.behavior in question.locomotion
            if asked and (not pair or row.compared.endswith(f" - {control}")):
                found.append(MAIN)
                continue
            if moves and not pair:
                found.append(MOVEMENT)
                continue
        found.append(f"{name}, pairs of {row.behavior}" if pair else f"{name}, {row.compared}")
    return found
