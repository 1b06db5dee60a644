"""JSON and TOML from outside, read here and nowhere else.

Damaged text, a number of thousands of digits, and brackets nested too deeply are the user's error, in one line.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.tables import read_text


def parse_json(text: str | bytes, where: object, remedy: str = "was the file damaged?") -> Any:
    """What a JSON text holds; `where` it stands and a `remedy` are for the message of the `UserError`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error}); {remedy}") from None


def parse_toml(
    text: str, where: object, remedy: str = "mend it in a text editor"
) -> dict[str, Any]:
    """What a TOML text holds. Raises `UserError`."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid TOML ({error}); {remedy}") from None


def read_json(path: Path, remedy: str = "was the file damaged?") -> Any:
    """What a JSON file holds. Raises `UserError` for one that cannot be read."""
    return parse_json(read_text(path), path, remedy)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises `UserError` for one that cannot be read."""
    return parse_toml(read_text(path), path)
