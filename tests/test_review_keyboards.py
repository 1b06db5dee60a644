"""Keys mean what they write, on any keyboard; what is typed into the frame box is a frame or a
time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from browsing import Browser, Page, page_state, visiting, wait_bouts, wait_frame
from reviewing import BOUT, predicted_study, serving

BOUND = ["[", "]", "/", "?", "+", "=", "-", "0", ",", ".", "z", "y", "m", "a", "q", "Shift+Z",
"Shift+R", "Shift+A",
         "Enter", "End", "ArrowLeft", "Shift+ArrowLeft", "ArrowDown", "Ctrl+z", "Ctrl+Shift+z",
         " "]  # fmt: skip


def key(key: str, code: str, held: str = "") -> dict[str, Any]:
    """A key event as browsers send it; `held` names Shift, Ctrl, Alt, Meta, AltGraph."""
    return {"key": key, "code": code, "held": held.split()}


EVENTS = [
    ("US", key("1", "Digit1"), "class 0"),
    ("US", key("9", "Digit9"), "class 8"),
    ("US", key("!", "Digit1", "Shift"), "class 9"),
    ("US", key("&", "Digit7", "Shift"), "class 15"),
    ("US", key("[", "BracketLeft"), "["),
    ("US", key("?", "Slash", "Shift"), "?"),
    ("US", key("Z", "KeyZ", "Shift"), "Shift+Z"),
    ("US, caps lock", key("Z", "KeyZ"), "z"),
    ("US", key("z", "KeyZ", "Ctrl"), "Ctrl+z"),
    ("Mac", key("Z", "KeyZ", "Meta Shift"), "Ctrl+Shift+z"),
    ("US", key("d", "KeyD", "Alt"), None),
    ("US", key("1", "Digit1", "Alt"), None),
    ("US", key("1", "Digit1", "Ctrl"), "Ctrl+1"),  # nothing is bound to it
    ("US", key("ArrowLeft", "ArrowLeft", "Alt"), None),  # back in the browser's history
    ("numbers", key("7", "Numpad7"), "class 6"),
    ("numbers, no num lock", key("End", "Numpad1"), "End"),
    ("German", key("[", "Digit8", "AltGraph"), "["),
    ("German, Windows", key("]", "Digit9", "Ctrl Alt AltGraph"), "]"),
    ("German, Windows", key("[", "Digit8", "Ctrl Alt"), "["),
    ("German, not told of AltGr", key("[", "Digit8"), "["),
    ("German", key("{", "Digit7", "AltGraph"), None),
    ("German", key("²", "Digit2", "AltGraph"), None),
    ("German", key("/", "Digit7", "Shift"), "/"),
    ("German", key("=", "Digit0", "Shift"), "="),
    ("German", key('"', "Digit2", "Shift"), "class 10"),
    ("German", key("z", "KeyY"), "z"),
    ("German", key("y", "KeyZ"), "y"),
    ("German", key("ü", "BracketLeft"), None),
    ("German", key("Dead", "Equal"), None),
    ("German Mac", key("[", "Digit5", "Alt"), "["),
    ("German Mac", key("]", "Digit6", "Alt"), "]"),
    ("German Mac", key("@", "KeyL", "Alt"), None),
    ("French Mac", key("[", "Digit5", "Alt Shift"), "["),
    ("French", key("&", "Digit1"), "class 0"),
    ("French", key("é", "Digit2"), "class 1"),
    ("French", key("-", "Digit6"), "class 5"),
    ("French", key("ç", "Digit9"), "class 8"),
    ("French", key("1", "Digit1", "Shift"), "class 0"),
    ("French", key("6", "Digit6", "Shift"), "class 5"),
    ("French", key("[", "Digit5", "AltGraph"), "["),
    ("French", key("]", "Minus", "AltGraph"), "]"),
    ("French", key("a", "KeyQ"), "a"),
    ("French", key("m", "Semicolon"), "m"),
    ("Czech", key("+", "Digit1"), "class 0"),
    ("Czech", key("1", "Digit1", "Shift"), "class 0"),
    ("Russian", key("я", "KeyZ"), "z"),
    ("Russian", key("Я", "KeyZ", "Shift"), "Shift+Z"),
    ("Russian", key("я", "KeyZ", "Ctrl"), "Ctrl+z"),
    ("Russian", key("х", "BracketLeft"), "["),  # noqa: RUF001
    ("US", key("Shift", "ShiftLeft", "Shift"), None),
    ("Japanese", key("Process", "Digit1"), None),
]

TELL = """
async ([events, bound]) => {
  const { nameOf } = await import("/static/keyboard.js");
  return events.map(({ key, code, held }) => {
    const has = (name) => held.includes(name);
    const event = new KeyboardEvent("keydown", {
      key, code, shiftKey: has("Shift"), ctrlKey: has("Ctrl"),
      altKey: has("Alt"), metaKey: has("Meta"),
      modifierAltGraph: has("AltGraph"),
    });
    return nameOf(event, new Set(bound));
  });
}
"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    place = predicted_study(tmp_path_factory.mktemp("study"), ("a_201M.mp4",))
    with serving(place) as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        yield page


def test_a_key_is_what_it_writes_and_only_else_where_it_lies(page: Page) -> None:
    names = page.evaluate(TELL, [[event for _, event, _ in EVENTS], BOUND])
    wrong = [
        (layout, event, name)
        for (layout, event, right), name in zip(EVENTS, names, strict=True)
        if name != right
    ]
    assert wrong == []


def strike(page: Page, key: str, code: str, modifiers: int = 0) -> None:
    """A key of another layout, as the operating system would report it (1 Alt, 2 Ctrl, 8 Shift)."""
    session = page.context.new_cdp_session(page)
    down = {"type": "keyDown", "key": key, "code": code, "modifiers": modifiers}
    session.send("Input.dispatchKeyEvent", down)
    session.send("Input.dispatchKeyEvent", {**down, "type": "keyUp"})


def test_brackets_and_classes_work_on_a_german_keyboard(page: Page) -> None:
    page.keyboard.press("Home")
    strike(page, "[", "Digit8", 3)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    strike(page, "]", "Digit9", 3)
    before = page_state(page)
    assert (before["selection"]["start"], before["selection"]["stop"]) == (0, 5)
    assert set(before["marks"]) == {-1}
    strike(page, "4", "Digit4")
    assert page_state(page)["marks"][:6] == [3] * 5 + [-1]
    page.keyboard.press("z")
    strike(page, "/", "Digit7", 8)  # finds a recording, and labels nothing
    assert page.evaluate("() => document.activeElement.id") == "list-filter"
    page.keyboard.press("Escape")
    assert set(page_state(page)["marks"]) == {-1}


def test_a_key_that_is_held_down_changes_labels_once(page: Page) -> None:
    page.keyboard.press("Home")
    page.keyboard.down("Enter")
    for _ in range(5):
        page.keyboard.down("Enter")  # as a keyboard repeats it
    page.keyboard.up("Enter")
    marks = page_state(page)["marks"]
    assert marks == [0] * BOUT + [-1] * (len(marks) - BOUT)
    page.keyboard.press("z")


@pytest.mark.parametrize(
    ("typed", "frame"),
    [
        ("45", 45),
        ("0:02", 60),
        ("0:00.5", 15),
        ("1 s", 30),
        ("2s", 60),
        ("0,5 s", 15),
        ("0:00:03", 90),
        ("007", 7),
    ],
)
def test_the_frame_box_takes_frames_and_times(page: Page, typed: str, frame: int) -> None:
    page.keyboard.press("End")
    page.fill("#frame", typed)
    page.keyboard.press("Enter")
    wait_frame(page, frame)
    assert page.input_value("#frame") == str(frame)


@pytest.mark.parametrize(
    ("typed", "said"),
    [("abc", "no place"), ("", "no place"), ("-3", "no place"), ("1.5", "no place"),
    ("999", "There is no frame 999"),
     ("0:40", "There is no 0:40"), ("0:75", "no time")],
)  # fmt: skip
def test_what_is_neither_is_refused_and_the_playhead_stays(
    page: Page, typed: str, said: str
) -> None:
    page.fill("#frame", "33")
    page.keyboard.press("Enter")
    wait_frame(page, 33)
    page.fill("#frame", typed)
    page.keyboard.press("Enter")
    assert said in page.inner_text("#alert")
    assert page.input_value("#frame") == "33"
    assert page_state(page)["frame"] == 33


def test_escape_leaves_the_frame_box_without_going_anywhere(page: Page) -> None:
    page.fill("#frame", "33")
    page.keyboard.press("Enter")
    page.fill("#frame", "77")
    page.keyboard.press("Escape")
    assert page_state(page)["frame"] == 33
    assert page.input_value("#frame") == "33"
