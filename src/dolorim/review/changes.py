"""What a page asks to be changed: its request as JSON, checked and carried out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json
from dolorim.review.corrections import Corrections, RequestError

_LARGEST_BODY = 1 << 20  # bytes of a request
_LONGEST_TAG = 40  # characters of a step's id


class MalformedRequestError(RequestError):
    """A request whose body is not a JSON object, or too large."""


def carry_out(corrections: Corrections, version: int, steps: list[dict[str, Any]]) -> None:
    """Do what a page asks for, step by step.

    Raises `VersionError` if the page has not seen the newest state.
    """
    for number, step in enumerate(steps):
        tags = _tags(step)
        # Only the first step is about the version that the page has seen.
        if number > 0:
            version = corrections.version
        match step.get("what"):
            case "edit":
                corrections.edit(version, _ranges(step.get("ranges")), tags)
            case "state":
                corrections.set_state(version, str(step.get("state")), tags)
            case "note":
                corrections.note(version, *_note(step), tags)
            case "undo":
                corrections.undo(version, tags)
            case "redo":
                corrections.redo(version, tags)
            case _:
                raise RequestError("expected a version and a change")


def _tags(step: dict[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {name: step[name] for name in ("id", "stroke") if name in step}
    for tag in tags.values():
        if not isinstance(tag, str) or not 0 < len(tag) <= _LONGEST_TAG:
            raise RequestError(
                f"expected names of up to {_LONGEST_TAG} characters for id and stroke"
            )
    return tags


def version_and_steps(body: dict[str, Any], what: str) -> tuple[int, list[dict[str, Any]]]:
    """The version that the page has seen, and the steps; a request for one step is that step."""
    version, steps = body.get("version"), body.get("steps")
    if what != "steps":
        steps = [{**body, "what": what}]
    # `isinstance` would take true for a version.
    if type(version) is not int or not isinstance(steps, list):
        raise RequestError("expected a version and a change")
    if not all(isinstance(step, dict) for step in steps):
        raise RequestError("expected a version and a change")
    return version, steps


def _note(step: dict[str, Any]) -> tuple[int, int, str]:
    start, stop, text = step.get("start"), step.get("stop"), step.get("text")
    if type(start) is not int or type(stop) is not int or not isinstance(text, str):
        raise RequestError("expected a note with start, stop, and text")
    return start, stop, text


def _ranges(value: Any) -> list[tuple[int, int, int]]:
    if not isinstance(value, list) or not value or not all(map(_is_range, value)):
        raise RequestError("expected ranges [[start, stop, class], ...]")
    return [(start, stop, mark) for start, stop, mark in value]


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and [type(number) for number in value] == [int, int, int]


async def read_json_body(request: Request) -> dict[str, Any]:
    body = b""
    # Read in pieces, so that an endless request is refused before it fills the memory.
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise MalformedRequestError("the request is too large")
    try:
        content = parse_json(body, "the request", "send a JSON object")
    except UserError as error:
        raise MalformedRequestError(str(error)) from None
    if not isinstance(content, dict):
        raise MalformedRequestError("expected a JSON object")
    return content
