"""The files that hold what raters have done: one history per recording and rater, in JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json


def read_history(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The steps of a history, and the bytes that they take.

    A last line that was cut off is left out. Raises `UserError` if the file cannot be read or holds
    anything else.
    """
    if not path.exists():
        return [], 0
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    # Every step ends with a line break, so what follows the last one was cut off.
    whole = raw[: raw.rfind(b"\n") + 1]
    steps = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            steps.append(_step_from(parse_json(line, path)))
        except (UserError, ValueError, TypeError):
            raise UserError(
                f"{path}, line {number}: not a step of a history; move the file away"
            ) from None
    return steps, len(whole)


def _step_from(value: Any) -> dict[str, Any]:
    """A step as JSON holds it. Raises `TypeError` or `ValueError` for anything else."""
    if not isinstance(value, dict):
        raise TypeError
    if "set" not in value:
        return value
    ranges = []
    for one in value["set"]:
        ranges.append([int(number) for number in one])
    return {**value, "set": ranges}


def state_of(steps: Sequence[dict[str, Any]]) -> str:
    """`new` before anything was done, then `work`, and `done` once the rater has said so."""
    states = [step["state"] for step in steps if "state" in step]
    if states and states[-1]:
        return states[-1]
    if any("set" in step for step in steps):
        return "work"
    return "new"


def others_states(
    home: Path, names: Sequence[str], besides: str, tell: Callable[[str], object]
) -> dict[str, list[Any]]:
    """The other raters of each recording and how far they are: `[[rater, state], ...]`.

    `besides` is left out; `tell` is called for a history that cannot be read.
    """
    states: dict[str, list[Any]] = {}
    if not home.is_dir():
        return states
    folders = sorted(path for path in home.iterdir() if path.is_dir() and path.name != besides)
    for folder in folders:
        for name in names:
            path = folder / f"{name}.history.jsonl"
            if not path.exists():
                continue
            try:
                steps, _ = read_history(path)
            except UserError as error:
                tell(str(error))
            else:
                states.setdefault(name, []).append([folder.name, state_of(steps)])
    return states
