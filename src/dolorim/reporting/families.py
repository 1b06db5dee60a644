"""Which tests are corrected together. Every test belongs to one family, and has one corrected p."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

PAIR = " (pair)"
MAIN, MOVEMENT = "main question", "movement"
METHODS = {"holm": "holm", "fdr": "fdr_bh"}


@dataclass(frozen=True)
class Question:
    """What the assay asks: one behavior and read-out in its primary windows, and who moves less."""

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
    """Add `family`, `p_adjusted` and `smallest_adjusted` to a table of tests.

    The main question is one family: the test of all groups and each pair with the control, in all
    primary windows. Movement is another. All other tests are corrected over behaviors, for one test
    of one read-out in one window, and other pairs over the pairs of one behavior.
    `smallest_adjusted` is the smallest corrected p that so many animals allow. The correction is
    that of Holm (1979, Scandinavian Journal of Statistics 6:65) or of Benjamini & Hochberg (1995,
    Journal of the Royal Statistical Society B 57:289).
    """
    table["family"] = [_family(row, question, control) for row in table.itertuples()]
    table["p_adjusted"] = np.nan
    table["smallest_adjusted"] = np.nan
    for _, rows in table[table.p.notna()].groupby("family", sort=False):
        # Tests without a smallest p, such as a permutation, can give any p.
        smallest = rows.smallest_p.fillna(0).to_numpy(float)
        table.loc[rows.index, "p_adjusted"] = _adjusted(rows.p.to_numpy(float), correction)
        table.loc[rows.index, "smallest_adjusted"] = _adjusted(smallest, correction)
    return table


def _adjusted(p: np.ndarray, correction: str) -> np.ndarray:
    return np.asarray(multipletests(p, method=METHODS[correction])[1])


def _family(row: Any, question: Question | None, control: str | None) -> str:
    is_pair = row.test.endswith(PAIR)
    if question is not None and row.is_rank_test and row.window in question.windows:
        with_control = row.compared.endswith(f" - {control}")
        if _asks(row, question.readout, [question.indicator]) and (with_control or not is_pair):
            return MAIN
        if _asks(row, "time_percent", question.locomotion) and not is_pair:
            return MOVEMENT
    name = f"{row.test} of {row.readout} in {row.window}"
    # Pairs of one behavior are a family of their own: they follow the test of all groups.
    if is_pair:
        return f"{name}, pairs of {row.behavior}"
    return f"{name}, {row.compared}"


def _asks(row: Any, readout: str, behaviors: Sequence[str]) -> bool:
    return row.readout == readout and row.behavior in behaviors
