"""Assays: the windows of time, behaviors and read-out that answer a question.

Each assay is a small TOML file in `templates/`, or one of the user's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dolorim.core.errors import UserError
from dolorim.files.structured import explain, parse_toml
from dolorim.files.tables import read_text

_UNITS_S = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TEMPLATES = files("dolorim.reporting") / "templates"
_STRICT = ConfigDict(extra="forbid")


def seconds(text: object) -> float:
    """Seconds in `90`, `30s`, `5min`, `1.5h` or `2d`. Raises `ValueError` for anything else."""
    # No sign and no exponent: a time in an assay is typed by hand, and "1e3 min" is a slip.
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text))
    if match is None or match[2] not in _UNITS_S:
        raise ValueError(f"expected a time such as 30s, 5min or 1h, found {text!r}")
    return float(match[1]) * _UNITS_S[match[2]]


def _seconds_or_endless(value: object) -> float:
    return float("inf") if value == float("inf") else seconds(value)


Seconds = Annotated[float, BeforeValidator(seconds)]


@dataclass(frozen=True, config=_STRICT)
class Window:
    """A stretch of every recording, `[start_s, stop_s)`; by default, until the recording ends."""

    name: str
    start_s: Seconds = 0.0
    stop_s: Annotated[float, BeforeValidator(_seconds_or_endless)] = float("inf")


WHOLE = Window("whole")


@dataclass(frozen=True, config=_STRICT)
class Assay:
    """What is measured, and what is looked at first."""

    name: str
    title: str
    windows: tuple[Window, ...] = (WHOLE,)
    primary: tuple[str, ...] = ("whole",)
    """Windows that answer the question."""
    readout: Literal[
        "time_percent", "time_s", "bouts", "bouts_per_min", "bout_mean_s", "latency_s", "response"
    ] = "time_percent"
    """Read-out that answers the question."""
    indicator: tuple[str, ...] = (
        "*withdraw*",
        "*lick*ipsi*",
        "*lick*",
        "*bite*",
        "*biting*",
        "*flinch*",
        "*shak*",
        "*guard*",
    )
    """Patterns of class names, the best sign of pain first; what fits one is a pain behavior."""
    locomotion: tuple[str, ...] = ("walk*", "*locomot*", "*ambulat*", "run*", "active", "*rear*")
    bin_s: Seconds = 60.0
    """Bins of the time course."""
    response_s: Seconds | None = None
    """For trials: how long after a stimulus a behavior counts as the response to it."""
    within: str | None = None
    """For repeated measures: the column of the table of groups that says when."""

    def __post_init__(self) -> None:
        names = [w.name for w in self.windows]
        for name in self.primary:
            if name not in names:
                raise UserError(f"primary = {name!r} is not among the windows {', '.join(names)}")
        # Tables are keyed by the name of the window, so a name may stand for one window only.
        if len(set(names)) < len(names) or not names or not self.primary:
            raise UserError(
                f"expected windows with different names and one of them as primary, "
                f"found {', '.join(names)}"
            )
        if any(w.stop_s <= w.start_s for w in self.windows) or self.bin_s <= 0:
            raise UserError("windows and bins must last longer than nothing")

    def pain_behaviors(self, classes: tuple[str, ...]) -> list[str]:
        """The classes that are pain behaviors, the indicator first.

        Raises `UserError` where there is none.
        """
        pain = _matching(classes, self.indicator)
        if not pain:
            raise UserError(f"no pain behavior among {', '.join(classes)}; name one with --pain")
        return pain

    def locomotion_behaviors(self, classes: tuple[str, ...]) -> list[str]:
        """Two classes at most that tell how much an animal moves."""
        # Two are enough to tell sedation from analgesia, and leave room for the question itself.
        return _matching(classes, self.locomotion)[:2]


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that fit a pattern, in the order of the patterns, each once, in any case."""
    matching: dict[str, None] = {}
    for pattern in patterns:
        fitting = [name for name in names if fnmatchcase(name.casefold(), pattern.casefold())]
        matching |= dict.fromkeys(fitting)
    return list(matching)


def built_in() -> list[str]:
    """The names of the assays that come with the package."""
    names = (path.name for path in _TEMPLATES.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_assay(name: str, **changes: Any) -> Assay:
    """A built-in assay or a TOML file, with some values changed.

    Raises `UserError` for an unknown name, an unknown key and a value that does not fit.
    """
    if name in built_in():
        text, where = (_TEMPLATES / f"{name}.toml").read_text("utf-8"), name
    elif name.endswith(".toml"):
        text, where = read_text(Path(name)), name
    else:
        raise UserError(
            f"--assay {name}: there are {', '.join(built_in())}; or name a .toml file of your own"
        )
    values = parse_toml(text, where)
    try:
        assay = TypeAdapter(Assay).validate_python({"name": Path(where).stem, **values})
        # `replace` runs the checks again, so that a change is held to the same rules.
        return dataclasses.replace(assay, **changes)
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error)}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
