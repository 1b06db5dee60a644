"""JSON and TOML from outside; the only module that parses them.

Damaged text, numbers of thousands of digits, and brackets nested too deeply are user errors.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.tables import read_text


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
