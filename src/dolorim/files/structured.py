"""JSON and TOML from outside; the only module that parses them.

Damaged text, numbers of thousands of digits, and brackets nested too deeply are user errors, and so
are values that a dataclass cannot have.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError

from dolorim.core.errors import UserError
from dolorim.files.tables import read_text

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""What `as_dataclass` expects a dataclass to have as its `__pydantic_config__`."""
Number = Annotated[float, Strict()]
"""A number; true, false, and text are none."""


def parse_json(text: str | bytes, where: object, remedy: str = "was the file damaged?") -> Any:
    """The value of a JSON text. Raises `UserError` with `where` and `remedy`."""
    try:
        return json.loads(text)  # RecursionError: brackets nested too deeply
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON ({error})", where=where, remedy=remedy) from None


def parse_toml(
    text: str, where: object, remedy: str = "mend it in a text editor"
) -> dict[str, Any]:
    """The table of a TOML text. Raises `UserError` with `where` and `remedy`."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid TOML ({error})", where=where, remedy=remedy) from None


def read_json(path: Path, remedy: str = "was the file damaged?") -> Any:
    """The value of a JSON file. Raises `UserError` if it cannot be read."""
    return parse_json(read_text(path), path, remedy)


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file. Raises `UserError` if it cannot be read."""
    return parse_toml(read_text(path), path)


def as_dataclass(kind: type[T], data: Any, where: object, remedy: str = "", problem: str = "") -> T:
    """Values from a file as a dataclass; lists become tuples.

    Raises `UserError` with `where` and `remedy` for an unknown or a missing key and for a value of
    another type. It names the key, or `problem` where the file as a whole is of another kind.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise UserError(problem or explain(error), where=where, remedy=remedy) from None


def explain(error: ValidationError) -> str:
    """The first problem of a validation in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "settings"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {where}"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {message}, found {first['input']!r}"
