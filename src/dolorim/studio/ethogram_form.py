"""The ethogram in the page: behaviors, what they are merged into, background, and indicator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram
from dolorim.studio.home import StudioHome
from dolorim.studio.own_files import digest_of, refuse_changed, replace_file
from dolorim.studio.studio import text_in, texts_in

LEFT_OUT = "none"
_EMPTY_ROWS = 3  # for further behaviors


@dataclass(frozen=True)
class BehaviorRow:
    """A behavior in the form. `merged` is empty if it is a class of its own."""

    id: str = ""
    name: str = ""
    merged: str = ""
    background: bool = False
    indicator: bool = False
    point: bool = False  # an event without a duration


@dataclass(frozen=True)
class EthogramForm:
    """What the page shows. A form with a `problem` cannot be changed in the page."""

    rows: tuple[BehaviorRow, ...] = ()
    classes: tuple[str, ...] = ()
    seen: str = ""
    source: str = ""
    problem: str = ""


def read_form(home: StudioHome) -> EthogramForm:
    """The behaviors of the study, or the built-in ones."""
    try:
        path = home.data().classes
        ethogram = PAIN if path is None else read_ethogram(path)
    except UserError as error:
        return EthogramForm(problem=str(error))
    source, problem = "", ""
    if path is not None:
        source = path.name
        if path != home.ethogram_file:
            problem = f"the behaviors are read from {path}; change them there"
    rows = tuple(_row(raw, ethogram) for raw in ethogram.raw)
    empty = (BehaviorRow(),) * _EMPTY_ROWS
    seen = digest_of(home.ethogram_file)
    return EthogramForm((*rows, *empty), ethogram.classes, seen, source, problem)


def _row(raw: RawClass, ethogram: Ethogram) -> BehaviorRow:
    merged = raw.merged or LEFT_OUT
    return BehaviorRow(
        id=str(raw.id),
        name=raw.name,
        merged="" if merged == raw.name else merged,
        background=raw.name in ethogram.background,
        indicator=raw.name == ethogram.indicator,
        point=raw.name in ethogram.points,
    )


def save_form(home: StudioHome, values: dict[str, Any]) -> None:
    """Write ethogram.toml. Raises `UserError` for what is no ethogram; then nothing changes."""
    refuse_changed(home.ethogram_file, text_in(values, "seen"))
    path = home.data().classes
    before = PAIN if path is None else read_ethogram(path)
    rows = _given_rows(values)
    raws = _raw_classes(rows, before)
    named = tuple(dict.fromkeys(raw.merged for raw in raws if raw.merged is not None))
    classes = _in_order(before, raws, named, keep_all=home.has_labels())
    background = tuple(row.name for row in rows if row.background and row.name in classes)
    indicator = next((row.name for row in rows if row.indicator and row.name in classes), None)
    points = tuple(row.name for row in rows if row.point and row.name in classes)
    ethogram = Ethogram(tuple(raws), classes, indicator, background, points)
    replace_file(
        home,
        home.ethogram_file,
        lambda: write_ethogram(home.ethogram_file, ethogram),
        home.data,
    )


def _raw_classes(rows: list[BehaviorRow], before: Ethogram) -> list[RawClass]:
    """The behaviors of the form. A new one gets an id that none has had before."""
    used = [int(row.id) for row in rows if row.id]
    following = max([*used, *(raw.id for raw in before.raw)]) + 1
    raws = []
    for row in rows:
        number = following
        if row.id:
            number = int(row.id)
        else:
            following += 1
        merged = row.merged or row.name
        raws.append(RawClass(number, row.name, None if merged == LEFT_OUT else merged))
    return raws


def _given_rows(values: dict[str, Any]) -> list[BehaviorRow]:
    """The filled rows of the form."""
    ids, names = texts_in(values, "id"), texts_in(values, "name")
    merged = texts_in(values, "merged")
    if not len(ids) == len(names) == len(merged):
        raise UserError("the table is incomplete", remedy="reload the page")
    # Of boxes a form sends only those that are ticked, by their row.
    background, indicator = texts_in(values, "background"), texts_in(values, "indicator")
    points = texts_in(values, "point")
    rows = []
    for i, name in enumerate(names):
        if not name:
            continue
        if ids[i] and not ids[i].isdecimal():
            raise UserError("expected a number for a behavior's id", remedy="reload the page")
        ticked = str(i)
        rows.append(
            BehaviorRow(
                ids[i],
                name,
                merged[i],
                background=ticked in background,
                indicator=ticked in indicator,
                point=ticked in points,
            )
        )
    return rows


def _in_order(
    before: Ethogram, raws: list[RawClass], named: tuple[str, ...], *, keep_all: bool
) -> tuple[str, ...]:
    """The classes in the order that they have, new ones last.

    Labels are stored as numbers of classes. With `keep_all`, there are labels already, and a class
    that would be lost or moved raises `UserError`. A class may be renamed.
    """
    now = {raw.id: raw.merged for raw in raws}
    order: list[str] = []
    for name in before.classes:
        new = _renamed(name, before, now)
        if new is not None and new not in order:
            order.append(new)
        elif keep_all:
            raise UserError(
                f"there are labels already, so the class {name} cannot be removed or merged",
                remedy="rename it, or add classes",
            )
    return tuple(dict.fromkeys([*order, *named]))


def _renamed(name: str, before: Ethogram, now: dict[int, str | None]) -> str | None:
    """What a class is called now, by the behaviors in it; None if it is gone."""
    members = [raw for raw in before.raw if raw.merged == name]
    # The behavior that a class is named after decides before those that are merged into it.
    members.sort(key=lambda raw: raw.name != name)
    return next((now[raw.id] for raw in members if now.get(raw.id)), None)
