"""The room around the labels in a real browser: bouts that keys start and stop, the list of bouts,
notes, filling up, keys of one's own, other raters, the light of the picture, and the layout."""

from __future__ import annotations

import csv
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from browsing import (
    Browser,
    Page,
    go_to,
    page_state,
    press,
    timeline_xy,
    visiting,
    wait_bouts,
    wait_frame,
    wait_open,
    wait_saved,
)
from dolorim.config import DataConfig
from dolorim.labels.ethogram import PAIN, Ethogram
from dolorim.labels.ethogram_file import write_ethogram
from dolorim.labels.label_files import read_labels
from dolorim.review.contents import open_review
from dolorim.review.corrections import Corrections
from dolorim.review.history import UNTOUCHED
from reviewing import BOUT, N, predicted_study, serving
from videos import numbered, write_film

POINT = 3  # the class that is a point event in these tests


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predicted_study(tmp_path_factory.mktemp("study"), ("a_201M.mp4",))


@pytest.fixture(scope="module")
def from_scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one video and an ethogram in which one class is a point event."""
    folder = tmp_path_factory.mktemp("scratch")
    write_film(folder / "x_204M.mp4", numbered(N))
    ethogram = Ethogram(
        PAIN.raw, PAIN.classes, PAIN.indicator, PAIN.background, (PAIN.classes[POINT],)
    )
    write_ethogram(folder / "ethogram.toml", ethogram)
    return folder


def marks_of(folder: Path, rater: str, name: str) -> list[int]:
    return Corrections(folder / "review" / rater, name, rater, N, PAIN).marks.tolist()


def labeled(*ranges: tuple[int, int, int], n: int = N) -> list[int]:
    marks = np.full(n, UNTOUCHED)
    for start, stop, label in ranges:
        marks[start:stop] = label
    return marks.tolist()


# ---- keys that start and stop ----


class StartStop:
    """What the keys should do, said once more: one open bout, and points that stay."""

    def __init__(self, n: int) -> None:
        self.marks = [UNTOUCHED] * n
        self.frame = 0
        self.open: tuple[int, int] | None = None

    def press(self, key: str) -> None:
        if key.startswith("to "):
            self.frame = int(key[3:])
        elif key == "Escape":
            self.open = None
        elif int(key) == POINT:
            self.marks[self.frame] = POINT
        else:
            self.start_or_stop(int(key))

    def start_or_stop(self, label: int) -> None:
        if self.open is None:
            self.open = (self.frame, label)
            return
        at, running = self.open
        if running == label:
            self.fill(at, self.frame, label)
            self.open = None
            return
        # Another class: the running one ends on the frame before, seen from where it began.
        if self.frame != at:
            self.fill(at, self.frame - 1 if self.frame > at else self.frame + 1, running)
        self.open = (self.frame, label)

    def fill(self, one: int, other: int, label: int) -> None:
        for i in range(min(one, other), max(one, other) + 1):
            if self.marks[i] != POINT:
                self.marks[i] = label


PRESS = """
async ([sequences, n, point]) => {
  const hands = await import("/static/hands.js");
  const { refresh } = await import("/static/tracks.js");
  return sequences.map((keys) => {
    const rec = { n_frames: n, marks: new Int16Array(n).fill(-1), undoable: [], redoable: [] };
    refresh(rec);
    const classes = [0, 1, 2, 3].map((i) => ({ name: String(i), point: i === point }));
    const state = {
      rec, frame: 0, playing: false, startStop: true, open: null, selection: null, mark: null,
      paint: null, study: { classes }, filter: { label: null, sure: 1 },
    };
    for (const key of keys) {
      state.playing = !state.playing; // it makes no difference
      if (key.startsWith("to ")) [state.frame = Number(key.slice(3)), hands.settle(state)];
      else if (key === "Escape") hands.letGo(state);
      else hands.setClass(state, Number(key));
    }
    const marks = Array.from(rec.marks);
    while (rec.undoable.length) hands.undo({ ...state, open: null });
    return { marks, open: state.open, emptied: Array.from(rec.marks) };
  });
}
"""


def test_start_and_stop_do_what_the_reference_does(modules: Page) -> None:
    rng = random.Random(3)
    n = 24
    sequences = []
    for _ in range(300):
        moves = [f"to {rng.randrange(n)}" for _ in range(12)]
        keys = [str(rng.choice((0, 1, 1, 2, POINT))) for _ in range(12)] + ["Escape"]
        sequences.append(rng.sample(moves + keys, 25))
    told = modules.evaluate(PRESS, [sequences, n, POINT])
    for sequence, result in zip(sequences, told, strict=True):
        model = StartStop(n)
        for key in sequence:
            model.press(key)
        assert result["marks"] == model.marks, sequence
        open_there = result["open"] and (result["open"]["at"], result["open"]["label"])
        assert open_there == model.open, sequence
        assert result["emptied"] == [UNTOUCHED] * n


def test_bouts_are_started_and_stopped_by_keys_and_an_open_one_outlives_the_tab(
    browser: Browser, from_scratch: Path
) -> None:
    review = open_review(from_scratch, DataConfig())
    with serving(from_scratch, review=review) as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        press(page, "k", "2")
        go_to(page, 30)
        press(page, str(POINT + 1))  # a point event within it
        go_to(page, 40)
        press(page, "3")  # ends the first at 39, begins at 40
        go_to(page, 50)
        assert "Open: " in page.inner_text("#selection")
        press(page, "Delete")  # would change labels elsewhere
        assert "its key ends it" in page.inner_text("#alert")
        page.reload()
        wait_frame(page, 50)
        wait_open(page)
        assert page.get_attribute("#start-stop", "aria-pressed") == "true"
        press(page, "3")
        go_to(page, 90)
        press(page, "2")
        go_to(page, 80)  # backward
        press(page, "2")
        go_to(page, 100)
        press(page, "2", "Escape")
        wait_saved(page)
        assert page_state(page)["selection"] is None
    expected = labeled((0, 40, 1), (30, 31, POINT), (40, 51, 2), (80, 91, 1))
    assert marks_of(from_scratch, "ann", "x_204M") == expected


# ---- the list of bouts, notes, filling up ----


LIST = """
async ([recordings]) => {
  const { filterBouts, listBouts, sortBouts } = await import("/static/boutlist.js");
  return recordings.map(({ labels, bouts, notes }) => {
    const runs = labels.map(([start, stop, label]) => [start, stop, label]);
    const rec = { runs, bouts, notes, marks: new Int16Array(labels.at(-1)[1]).fill(-1) };
    const list = listBouts(rec);
    const sorted = ["time", "class", "length", "doubt"].map((by) => sortBouts(list, by));
    return { list, sorted, one: filterBouts(list, { label: 1, sure: 1 }) };
  });
}
"""


def some_bouts(rng: random.Random, n: int) -> list[list[float]]:
    """Bouts `[start, stop, label, probability]` that cover `n` frames."""
    edges = sorted({0, n, *(rng.randrange(n) for _ in range(6))})
    return [
        [start, stop, rng.randrange(3), rng.random()] for start, stop in itertools.pairwise(edges)
    ]


def test_the_list_has_every_bout_with_its_doubt_and_its_notes(modules: Page) -> None:
    rng = random.Random(4)
    n = 60
    recordings = []
    for _ in range(100):
        starts = [rng.randrange(n - 1) for _ in range(3)]
        notes = [[start, rng.randint(start + 1, n), f"note {i}"] for i, start in enumerate(starts)]
        recordings.append(
            {"labels": some_bouts(rng, n), "bouts": some_bouts(rng, n), "notes": notes}
        )
    told = modules.evaluate(LIST, [recordings])
    for recording, result in zip(recordings, told, strict=True):
        doubt = np.empty(n)
        for start, stop, _, probability in recording["bouts"]:
            doubt[start:stop] = 1 - probability
        for bout, (start, stop, label, _) in zip(result["list"], recording["labels"], strict=True):
            assert (bout["start"], bout["stop"], bout["label"]) == (start, stop, label)
            assert bout["doubt"] == pytest.approx(doubt[start:stop].mean())
            its_own = [
                text for a, b, text in recording["notes"] if start <= (a + b - 1) // 2 < stop
            ]
            assert bout["note"] == " / ".join(its_own)
        by_time, by_class, by_length, by_doubt = result["sorted"]
        assert by_time == result["list"]
        assert [b["label"] for b in by_class] == sorted(b["label"] for b in by_time)
        lengths = [b["stop"] - b["start"] for b in by_length]
        assert lengths == sorted(lengths, reverse=True)
        doubts = [b["doubt"] for b in by_doubt]
        assert doubts == sorted(doubts, reverse=True)
        assert result["one"] == [b for b in by_time if b["label"] == 1]


def rows_shown(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        "#bouts li", "rows => rows.map((r) => r.querySelector('.words').firstChild.textContent)"
    )


def test_the_list_of_bouts_is_sorted_jumps_deletes_and_shows_notes(
    browser: Browser, place: Path
) -> None:
    with serving(place, "lea") as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        press(page, "b")
        page.wait_for_selector("#bouts li")
        assert rows_shown(page) == list(PAIN.classes)
        page.click("#bouts li:nth-child(3) .go")
        wait_frame(page, 2 * BOUT)
        press(page, "w")
        page.keyboard.type("left paw, z and 3 are only letters here")
        page.click("#write-yes")
        assert "left paw" in page.inner_text("#note")
        page.click("#bouts li:nth-child(2) .gone")  # the one before takes its frames
        page.wait_for_function("() => document.querySelectorAll('#bouts li').length === 5")
        page.select_option("#bouts-sort", "length")
        page.wait_for_function(
            "() => document.querySelector('#bouts .words').textContent.startsWith('rest')"
        )
        page.select_option("#bouts-sort", "time")
        wait_saved(page)
    with (place / "review" / "lea" / "a_201M.notes.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["label"] == ""  # nobody has labeled that bout
    assert row["note"].startswith("left paw")
    assert marks_of(place, "lea", "a_201M") == labeled((BOUT, 2 * BOUT, 0))


def test_the_rest_is_filled_with_a_class_in_one_step(browser: Browser, from_scratch: Path) -> None:
    review = open_review(from_scratch, DataConfig())
    with serving(from_scratch, "fay", review) as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        for start, stop, key in ((10, 19, "2"), (30, 39, "u")):
            go_to(page, start)
            press(page, "[")
            go_to(page, stop)
            press(page, "]", key)
        press(page, "Shift+F")
        page.select_option("#fill-where", label="the whole recording")
        assert page.inner_text("#fill-what").startswith(f"{N - 20} frames")
        page.click("#fill-yes")
        page.wait_for_function("() => !document.querySelector('#fill').open")
        full = page_state(page)["marks"]
        assert full == labeled((0, N, 0), (10, 20, 1), (30, 40, -2))
        press(page, "z")
        assert page_state(page)["marks"] == labeled((10, 20, 1), (30, 40, -2))
        press(page, "Shift+Z")
        wait_saved(page)
    file = read_labels(from_scratch / "review" / "fay" / "x_204M.csv", PAIN)
    assert file.labels.tolist() == [max(mark, -1) for mark in full]


# ---- keys of one's own, the light of the picture, a thumbnail ----


def test_a_class_gets_another_key_unless_that_is_taken(browser: Browser, place: Path) -> None:
    with serving(place, "kim") as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        press(page, "?")
        for key, answer in (("s", "split"), ("2", "paw_withdraw"), ("Shift+L", "")):
            page.click("#class-keys [data-label='2']")
            press(page, key)
            page.wait_for_function(
                "(word) => document.querySelector('#class-keys-said').textContent.includes(word)",
                arg=answer,
            )
        page.wait_for_selector("#class-keys [data-label='2'] >> text=⇧L")
        page.click("#help-close")
        press(page, "Shift+L")
        page.click("#look summary")
        page.fill("#look-gamma", "2.2")
        page.reload()
        wait_frame(page, 0)
        wait_open(page)
        assert page_state(page)["marks"][:BOUT] == [2] * BOUT
        press(page, "3")  # no longer means anything
        press(page, "ArrowDown", "ArrowDown", "Shift+L")
        assert page_state(page)["marks"][BOUT : 2 * BOUT] == [2] * BOUT
        shown = page.evaluate("() => getComputedStyle(document.querySelector('#video')).filter")
        assert "look-filter" in shown
        assert page.input_value("#look-gamma") == "2.2"
        page.mouse.move(*timeline_xy(page, 50, "predicted"))
        page.wait_for_selector("#thumb[data-frame='50']")
        wait_saved(page)
        levels = page.evaluate(
            """async () => {
              const { level } = await import("/static/look.js");
              const grays = [0, 0.25, 0.5, 1];
              const look = { brightness: 0, contrast: 1, gamma: 2 };
              return grays.map((g) => level(g, look)).concat(
                grays.map((g) => level(g, { ...look, gamma: 1, contrast: 2 })));
            }"""
        )
    assert levels == pytest.approx([0, 0.5, 0.5**0.5, 1, 0, 0, 0.5, 1])


# ---- other raters, and none of them ----


def test_other_raters_are_shown_with_kappa_but_not_to_a_blinded_one(
    browser: Browser, place: Path
) -> None:
    bob = Corrections(place / "review" / "bob", "a_201M", "bob", N, PAIN)
    bob.edit(bob.version, [(0, BOUT, 0), (BOUT, 2 * BOUT, 2)])
    with serving(place, "amy") as served, visiting(browser) as visit:
        served.session.studio = "/somewhere"
        page = visit(served.url)
        wait_bouts(page)
        assert page.get_attribute("#studio", "href") == "/somewhere"
        press(page, "ArrowDown", "Enter", "3")
        wait_saved(page)
        page.click("#raters")
        page.wait_for_selector("#agreement >> text=κ 1.00 on 40 frames")
        assert timeline_xy(page, 0, "rater bob")[1] < timeline_xy(page, 0)[1]
    review = open_review(place, DataConfig(), shuffle="1 eve")
    with serving(place, "eve", review, blinded=True) as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        assert page.is_visible("#blinded")
        assert page.is_hidden("#studio")
        for hidden in ("#raters", "#queue-card", "#sure-label"):
            page.wait_for_selector(hidden, state="hidden")
        assert set(page_state(page)["labels"]) == {UNTOUCHED}


# ---- layout ----

OUTSIDE = """
() => {
  const shown = [...document.querySelectorAll("button, input, select, summary")]
    .filter((e) => e.checkVisibility() && !e.closest("dialog, #recordings, #bouts"));
  const outside = shown.filter((e) => {
    e.scrollIntoView({ block: "nearest" });
    const box = e.getBoundingClientRect();
    const across = box.left >= 0 && box.right <= innerWidth;
    const down = box.top >= 0 && box.bottom <= innerHeight;
    return !across || !down || e.scrollWidth > e.clientWidth + 1 && e.matches("button");
  });
  return outside.map((e) => e.id || e.title || e.outerHTML);
}
"""


def test_nothing_is_cut_off_and_every_key_has_a_button(browser: Browser, place: Path) -> None:
    with serving(place, "lou") as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        page.wait_for_selector("#queue-card:not([hidden]) meter")
        for width, height in ((1024, 700), (1280, 800)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_function("(w) => innerWidth === w", arg=width)
            assert page.evaluate(OUTSIDE) == []
            for selector, least in (("#screen", 200), ("#recordings", 60), ("#timeline", 100)):
                box = page.locator(selector).bounding_box()
                assert box is not None
                assert box["height"] >= least
            assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
        without = page.evaluate(
            """async () => {
              const { bound } = await import("/static/keys.js");
              const verbs = new Map();
              for (const [key, f] of bound) verbs.set(f, [...verbs.get(f) ?? [], key]);
              const buttons = [...document.querySelectorAll("[data-key]")];
              const there = new Set(buttons.map((e) => e.dataset.key));
              const without = [...verbs.values()].filter((keys) => !keys.some((k) => there.has(k)));
              return without.map(String);
            }"""
        )
        # One list of speeds stands for both; keys that are held with Ctrl are those of z and Z.
        assert set(without) <= {".", "Ctrl+s", "Ctrl+z", "Ctrl+Shift+z"}


def test_a_chamber_is_shown_large_and_alone(browser: Browser, tmp_path: Path) -> None:
    write_film(tmp_path / "Videos" / "cage.mp4", numbered(8, 96, 128))
    table = tmp_path / "chambers.csv"
    table.write_text("chamber,x0,y0,x1,y1\nA1,0,0,64,48\nA2,64,48,128,96\n")
    review = open_review(tmp_path, DataConfig(), out=tmp_path / "review")
    shown = """() => {
      const c = document.querySelector("#video");
      const [left, top, scale] = c.dataset.placed.split(",").map(Number);
      const at = (x, y) => {
        const [px, py] = [Math.round(left + x * scale), Math.round(top + y * scale)];
        const there = px >= 0 && py >= 0 && px < c.width && py < c.height;
        return there ? c.getContext("2d").getImageData(px, py, 1, 1).data[0] : null;
      };
      return { inside: at(90, 60), other: at(20, 30), middle: [left + 96 * scale, top + 72 * scale],
               size: [c.width, c.height] };
    }"""
    with serving(tmp_path, review=review) as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        page.click("#recordings [data-id='1']")
        page.wait_for_function("() => document.querySelector('#where').textContent === 'cage.A2'")
        wait_frame(page, 0)
        wait_open(page)
        alone = page.evaluate(shown)
        assert alone["middle"] == pytest.approx([side / 2 for side in alone["size"]], abs=1)
        assert alone["other"] in (None, 0)
        page.click("#whole")
        rack = page.evaluate(shown)
        assert rack["inside"] == pytest.approx(alone["inside"], abs=12)
        assert 0 < rack["other"] < 120  # dimmed
        assert rack["middle"] != pytest.approx([side / 2 for side in rack["size"]], abs=1)
