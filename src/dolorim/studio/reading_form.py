"""Settings of how files are read, where `check` has found a doubt that a person can settle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tomli_w

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.files.tables import write_text
from dolorim.presets import with_settings
from dolorim.studio.home import StudioHome
from dolorim.studio.own_files import replace_file
from dolorim.studio.studio import text_in


@dataclass(frozen=True)
class ReadingField:
    """A setting: its name, a question, and the values to choose from; none for free text."""

    name: str
    question: str
    choices: tuple[str, ...] = ()
    kind: type = str


FIELDS = (
    ReadingField("trial_layout", "How trials lie in their video", ("fixed", "cumulative")),
    ReadingField("label_counts_from", "Frame numbers in label files begin at", ("0", "1")),
    ReadingField("label_step", "Labels were made at every n-th frame: n", kind=int),
    ReadingField("label_gaps", "Behavior of the frames that lists of bouts leave open"),
    ReadingField("individual", "Animal of pose files with several"),
    ReadingField("pose_lag", "Frames by which the pose is late", kind=int),
    ReadingField("kp_likelihood_thr", "Likelihood from which a keypoint counts", kind=float),
    ReadingField("allow_damaged", "Use the readable part of damaged videos", ("yes",), kind=bool),
)


def read_form(home: StudioHome) -> list[tuple[ReadingField, str]]:
    """Each setting with its value as text; empty where the usual one counts."""
    try:
        settings = home.reading()
    except UserError:
        settings = {}  # the page says elsewhere that the file is damaged
    return [(field, _text(settings.get(field.name))) for field in FIELDS]


def save_form(home: StudioHome, values: dict[str, Any]) -> None:
    """Keep the settings. Raises `UserError` for a value that a setting cannot have."""
    settings: dict[str, Any] = {}
    for field in FIELDS:
        text = text_in(values, field.name)
        if text:
            settings[field.name] = _value(field, text)
    # Each value is tried before anything is written.
    with_settings(Config(), settings)
    path = home.reading_file
    replace_file(home, path, lambda: write_text(path, tomli_w.dumps(settings)), home.data)


def _value(field: ReadingField, text: str) -> Any:
    if field.kind is bool:
        return text == "yes"
    try:
        return field.kind(text)
    except ValueError:
        raise UserError(f"{field.question}: expected a number, found {text!r}") from None


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)
