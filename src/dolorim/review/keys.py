"""The keys that a rater has chosen for classes: `keys.json` in the rater's folder.

Whether a key is free on the page only the page knows; here, no two classes have the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.files.tables import write_text
from dolorim.review.corrections import RequestError

_FILE = "keys.json"
_LONGEST = 20  # characters of the name of a key, such as Shift+L


def read_keys(folder: Path) -> dict[str, str]:
    """The chosen keys by class; a damaged file counts as none, as it can be chosen again."""
    path = folder / _FILE
    if not path.exists():
        return {}
    try:
        return _checked(read_json(path))
    except UserError:
        return {}


def write_keys(folder: Path, keys: Any, classes: Sequence[str]) -> None:
    """Keep the chosen keys. Raises `UserError` for two classes with one key."""
    chosen = _checked(keys)
    unknown = [name for name in chosen if name not in classes]
    if unknown:
        raise RequestError(f"there is no class {unknown[0]}")
    write_text(folder / _FILE, json.dumps(chosen, indent=1) + "\n")


def _checked(keys: Any) -> dict[str, str]:
    if not isinstance(keys, Mapping) or not all(map(_is_key, keys.values())):
        raise RequestError('expected keys by class, {"paw_lick": "k"}')
    class_of: dict[str, str] = {}
    for name, key in keys.items():
        if key in class_of:
            raise RequestError(f"{key} cannot mean both {class_of[key]} and {name}")
        class_of[key] = name
    return dict(keys)


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST
