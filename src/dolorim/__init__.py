"""dolorim: pain behaviors of mice, frame by frame, from bottom-view video.

    import dolorim as dl
    run = dl.load_run("runs/first")
    prediction = run.predict("new.mp4")
    prediction.bouts                      # a pandas table
    prediction.plot()

Everything is imported when it is first used, so `import dolorim` is quick and needs no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "DolorimError": ("dolorim.core.errors", "UserError"),
    "Prediction": ("dolorim.results", "Prediction"),
    "Run": ("dolorim.api", "Run"),
    "check": ("dolorim.api", "check"),
    "compare": ("dolorim.api", "compare"),
    "evaluate": ("dolorim.api", "evaluate"),
    "load_run": ("dolorim.api", "load_run"),
    "predict": ("dolorim.api", "predict"),
    "pretrain": ("dolorim.api", "pretrain"),
    "read_labels": ("dolorim.api", "read_labels"),
    "read_poses": ("dolorim.api", "read_poses"),
    "report": ("dolorim.api", "report"),
    "train": ("dolorim.api", "train"),
}
__all__ = [
    "DolorimError",
    "Prediction",
    "Run",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "load_run",
    "predict",
    "pretrain",
    "read_labels",
    "read_poses",
    "report",
    "train",
]

if TYPE_CHECKING:
    from dolorim.api import (
        Run,
        check,
        compare,
        evaluate,
        load_run,
        predict,
        pretrain,
        read_labels,
        read_poses,
        report,
        train,
    )
    from dolorim.core.errors import UserError as DolorimError
    from dolorim.results import Prediction


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dolorim' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value  # later uses do not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
