"""How names, numbers and p values are written for people, the same on the page and in figures."""

from __future__ import annotations

import numpy as np

READOUT_LABELS = {
    "time_percent": "% of time",
    "time_s": "time (s)",
    "bouts": "bouts",
    "bouts_per_min": "bouts per minute",
    "bout_mean_s": "mean bout (s)",
    "latency_s": "latency (s)",
    "response": "share with a response",
    "auc": "area (% min)",
    "threshold_g": "50 % threshold (g)",
    "score": "score",
    "mpe_percent": "% of the maximal possible effect",
    "course_area": "area under the course",
}


def shown(name: str, longest: int = 28) -> str:
    """A name in a figure or a table: underscores become spaces, and a long name is cut."""
    name = name.replace("_", " ").strip() or name
    if len(name) <= longest:
        return name
    return f"{name[: longest - 2]}…"


def number(value: float) -> str:
    """Three significant figures without an exponent; `-` for NaN."""
    if value != value:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    significant = max(0, 2 - int(np.floor(np.log10(size))))
    # Nobody reads a fourth decimal of a percentage, so small values lose figures instead.
    most = 2 if size >= 0.1 else 3
    return f"{value:.{min(significant, most)}f}"


def p_value(p: float) -> str:
    """A p value with as many decimals as a paper prints; `-` for NaN."""
    if p != p:
        return "-"
    if p < 0.0001:
        return "< 0.0001"
    if p < 0.001:
        return f"{p:.4f}"
    if p < 0.1:
        return f"{p:.3f}"
    return f"{p:.2f}"


def p_text(p: float) -> str:
    """`p = 0.012`, or `p < 0.0001`."""
    if p < 0.0001:
        return f"p {p_value(p)}"
    return f"p = {p_value(p)}"


def interval_text(low: float, high: float) -> str:
    """`[1.2, 3.4]`; empty where there is no interval (NaN)."""
    if low != low:
        return ""
    return f"[{number(low)}, {number(high)}]"
