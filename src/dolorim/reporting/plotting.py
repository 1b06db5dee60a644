"""pyplot for figures that go to files: no window opens, and a notebook keeps its backend."""

from __future__ import annotations

import os
import sys

import matplotlib

chosen = "MPLBACKEND" in os.environ or "matplotlib.pyplot" in sys.modules
if not chosen:
    matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 - after the backend was chosen

__all__ = ["plt"]
