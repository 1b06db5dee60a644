"""Whatever is pressed, no label changes but what the page showed as what would change."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browsing import (
    Browser,
    Page,
    go_to,
    page_state,
    press,
    saved,
    visiting,
    wait_bouts,
    wait_saved,
)
from dolorim.config import DataConfig
from dolorim.review.contents import open_review
from labelling import UNSURE, UNTOUCHED, Model
from reviewing import BOUT, N, predicted_study, serving
from videos import numbered, write_film

CORE = ("[", "]", "2", "3", "Delete", "Enter", "c", "z", "ArrowRight", "ArrowDown", " ", "tick")
MORE = ("u", "Shift+Z", "ArrowLeft", "Shift+ArrowRight", "ArrowUp", "s", "m", "Escape")
FRAMES = 14

# Every sequence of keys, each answered with what the page would show: labels with the stroke that
# is being painted,
# the playhead, and what a key would act on. The keys do here what keys.js and the player make of
# them.
DRIVER = """
async ({ start, sequences, keys, depth }) => {
  const hands = await import("/static/hands.js");
  const { refresh, UNSURE } = await import("/static/tracks.js");
  const move = (s, to) => {
    hands.finishPainting(s);
    s.frame = Math.max(0, Math.min(to, s.rec.n_frames - 1));
    hands.settle(s);
  };
  const stop = (s) => { s.playing = false; hands.finishPainting(s); };
  const play = (s) => { if (s.playing) stop(s); else s.playing = s.frame < s.rec.n_frames - 1; };
  const tick = (s) => {
    if (!s.playing) return;
    s.frame = Math.min(s.frame + 1, s.rec.n_frames - 1);
    hands.settle(s);
    if (s.frame % 3 === 0) hands.keepPainting(s);
    if (s.frame === s.rec.n_frames - 1) stop(s);
  };
  const bracket = (s, side) => { if (hands.edgeHere(s, side).pause && s.playing) stop(s); };
  const verbs = {
    " ": play, tick,
    "[": (s) => bracket(s, "start"), "]": (s) => bracket(s, "stop"),
    "2": (s) => hands.setClass(s, 1), "3": (s) => hands.setClass(s, 2),
    "u": (s) => hands.setClass(s, UNSURE), "Delete": hands.remove, "c": hands.clear,
    "s": hands.split, "m": hands.merge, "Escape": hands.letGo,
    "z": hands.undo, "Shift+Z": hands.redo,
    "Enter": (s) => { if (hands.accept(s).accepted) hands.stepBout(s, 1); },
    "ArrowDown": (s) => hands.stepBout(s, 1), "ArrowUp": (s) => hands.stepBout(s, -1),
    "ArrowLeft": (s) => move(s, s.frame - 1), "ArrowRight": (s) => move(s, s.frame + 1),
    "Shift+ArrowRight": (s) => move(s, s.frame + 5),
  };
  const fresh = ({ base, marks, frame, last }) => {
    const truth = base && Int16Array.from(base);
    const rec = {
      n_frames: marks.length, marks: Int16Array.from(marks), truth, undoable: [], redoable: [],
    };
    rec.undoable.push({ ranges: marks.map((m, i) => [i, i + 1, m]).filter((r) => r[2] !== -1) });
    refresh(rec);
    return {
      rec, frame, playing: false, selection: null, mark: null, paint: null, dragging: null,
      view: { first: 0, last }, filter: { label: null, sure: 1 },
      study: { classes: [{ background: true }, {}, {}, {}] },
    };
  };
  const tell = (s) => {
    const labels = Array.from(s.rec.effective);
    if (s.paint) labels.fill(s.paint.label, s.paint.from, s.frame + 1);
    const aim = hands.target(s);
    const aimed = aim ? [aim.start, aim.stop].join() : "";
    return [labels.join(), s.frame, Number(s.playing), aimed].join(";");
  };
  const told = [];
  const walk = (s, left) => {
    for (const key of keys) {
      const next = structuredClone(s);
      verbs[key](next);
      told.push(tell(next));
      if (left > 1) walk(next, left - 1);
    }
  };
  if (depth) walk(fresh(start), depth);
  for (const sequence of sequences) {
    const s = fresh(start);
    for (const key of sequence) {
      verbs[key](s);
      told.push(tell(s));
    }
  }
  return told;
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predicted_study(tmp_path_factory.mktemp("study"), ("a_201M.mp4",))


def some_labels(rng: random.Random, n: int, choices: Sequence[int]) -> list[int]:
    labels: list[int] = []
    while len(labels) < n:
        labels += [rng.choice(choices)] * rng.randint(1, max(2, n // 3))
    return labels[:n]


def some_state(seed: int) -> Model:
    """Labels from before or none, corrections of some, and a playhead anywhere."""
    rng = random.Random(seed)
    base = [UNTOUCHED] * FRAMES if seed % 2 else some_labels(rng, FRAMES, (0, 0, 1, 2, UNTOUCHED))
    marks = some_labels(rng, FRAMES, (UNTOUCHED, UNTOUCHED, 1, 2, 3, UNSURE))
    past = [[UNTOUCHED] * FRAMES] * any(m != UNTOUCHED for m in marks)
    last_shown = rng.choice((FRAMES, FRAMES, FRAMES // 2))
    return Model(base, marks, frame=rng.randrange(FRAMES), last_shown=last_shown, past=past)


def told_of(model: Model) -> str:
    aim = model.target()
    where = "" if aim is None else f"{aim.start},{aim.stop}"
    return f"{','.join(map(str, model.shown()))};{model.frame};{int(model.playing)};{where}"


def start_of(model: Model) -> dict[str, Any]:
    base = None if set(model.base) == {UNTOUCHED} else model.base
    return {"base": base, "marks": model.marks, "frame": model.frame, "last": model.last_shown}


def only_what_was_shown(before: Model, key: str, after: Model) -> None:
    """What changes was shown before as what the key acts on; playing on, it is the frame that is
    painted now."""
    changed = [
        i for i, (a, b) in enumerate(zip(before.shown(), after.shown(), strict=True)) if a != b
    ]
    aim = before.target()
    if key == "tick":
        assert all(i == after.frame for i in changed)
    elif key == "m":
        assert all(i < before.last_shown for i in changed)
    elif key in ("2", "3", "u") and before.playing:
        assert all(i == before.frame for i in changed)
    elif key in ("[", "]", "2", "3", "u", "Delete", "c"):
        assert not changed or (aim is not None and all(aim.start <= i < aim.stop for i in changed))
    elif key not in ("z", "Shift+Z"):
        assert not changed


@pytest.mark.parametrize("seed", range(4))
def test_every_sequence_of_four_keys_does_what_the_reference_does(modules: Page, seed: int) -> None:
    start = some_state(seed)
    told = iter(
        modules.evaluate(
            DRIVER, {"start": start_of(start), "sequences": [], "keys": CORE, "depth": 4}
        )
    )

    def walk(model: Model, pressed: tuple[str, ...]) -> None:
        for key in CORE:
            after = model.copy()
            after.press(key)
            assert next(told) == told_of(after), (*pressed, key)
            only_what_was_shown(model, key, after)
            if len(pressed) < 3:
                walk(after, (*pressed, key))

    walk(start, ())
    assert next(told, None) is None


def test_long_sequences_of_all_keys_do_what_the_reference_does(modules: Page) -> None:
    rng = random.Random(1)
    for seed in range(30):
        start = some_state(seed)
        sequences = [[rng.choice(CORE + MORE) for _ in range(16)] for _ in range(40)]
        told = iter(
            modules.evaluate(
                DRIVER, {"start": start_of(start), "sequences": sequences, "keys": [], "depth": 0}
            )
        )
        for sequence in sequences:
            model = start.copy()
            for n, key in enumerate(sequence, 1):
                before = model.copy()
                model.press(key)
                assert next(told) == told_of(model), (seed, sequence[:n])
                only_what_was_shown(before, key, model)


# ---- the same through real keys ----

KEYS = ("[", "]", "2", "3", "u", "Delete", "Enter", "c", "z", "Shift+Z", "s", "m", "Escape",
"ArrowLeft",
        "ArrowRight", "Shift+ArrowRight", "ArrowDown", "ArrowUp")  # fmt: skip


def begin(page: Page, labels: list[tuple[int, int, int]], frame: int) -> None:
    """Other labels, with nothing selected and nothing to undo before them."""
    page.evaluate(
        """async ([ranges, frame]) => {
          const { state } = await import("/static/state.js");
          const { select, setClass } = await import("/static/actions.js");
          const { seek } = await import("/static/player.js");
          for (const [start, stop, label] of ranges) {
            select({ start, stop, label: -1, kind: "range" });
            setClass(label);
          }
          select(null);
          seek(frame);
          state.view = { first: 0, last: state.rec.n_frames };
        }""",
        [labels, frame],
    )


def test_real_keys_do_what_the_reference_does(browser: Browser, place: Path) -> None:
    rng = random.Random(7)
    base = [i // BOUT for i in range(N)]
    with serving(place) as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        marks = [UNTOUCHED] * N
        past: list[list[int]] = []
        for _ in range(60):
            cuts = sorted(rng.sample(range(N + 1), 4))
            ranges = [
                (a, b, rng.choice((UNTOUCHED, UNSURE, 0, 1, 2, 3)))
                for a, b in itertools.pairwise(cuts)
            ]
            frame = rng.randrange(N)
            model = Model(base, marks, frame=frame, second=30, past=past)
            for one in ranges:
                model.lay([one])
            begin(page, ranges, frame)
            pressed = [rng.choice(KEYS) for _ in range(rng.randint(2, 6))]
            for key in pressed:
                model.press(key)
            press(page, *pressed)
            state = page_state(page)
            assert state["labels"] == model.labels(), (ranges, frame, pressed)
            assert state["frame"] == model.frame, (ranges, frame, pressed)
            marks, past = model.marks, model.past
        wait_saved(page)
        assert page_state(page)["marks"] == marks
        assert served.session.corrections(0).marks.tolist() == marks
        assert saved(place).tolist() == [max(m, -1) for m in marks]


def test_a_stretch_is_labelled_twice_as_the_page_on_review_says(
    browser: Browser, tmp_path: Path
) -> None:
    write_film(tmp_path / "Videos" / "x_204M.mp4", numbered(N))
    for predicted in (False, True):
        place = (
            predicted_study(tmp_path / "predicted", ("a_201M.mp4",))
            if predicted
            else tmp_path / "Videos"
        )
        review = None if predicted else open_review(place, DataConfig(), out=place / "review")
        with serving(place, review=review) as served, visiting(browser) as visit:
            page = visit(served.url)
            wait_bouts(page)
            for start, stop, key in ((10, 30, "2"), (30, 50, "3"), (70, 90, "2")):
                go_to(page, start)
                press(page, "[")
                go_to(page, stop)
                press(page, "]", key)
            press(page, "[")  # at once, where the last one ended
            go_to(page, 100)
            press(page, "]", "3")
            wait_saved(page)
            marks = served.session.corrections(0).marks
        expected = np.full(N, UNTOUCHED)
        for start, stop, label in ((10, 30, 1), (30, 51, 2), (70, 90, 1), (90, 101, 2)):
            expected[start:stop] = label
        assert marks.tolist() == expected.tolist()


def test_keys_act_where_the_playhead_is_and_not_on_what_was_selected(
    browser: Browser, place: Path
) -> None:
    with serving(place, "bob") as served, visiting(browser) as visit:
        page = visit(served.url)
        wait_bouts(page)
        for key, label in (("4", 3), ("u", UNSURE), ("c", UNTOUCHED)):
            press(page, "Home", "ArrowDown")  # the bout [0, 20)
            go_to(page, 65)  # in the bout [60, 80)
            assert page.inner_text("#selection").startswith("Here ")
            press(page, key)
            wait_saved(page)
            marks = served.session.corrections(0).marks
            assert (marks[:60] == UNTOUCHED).all()
            assert (marks[60:80] == label).all()
        press(page, "Home", "ArrowDown")
        go_to(page, 65)
        press(page, "Delete")
        wait_saved(page)
        assert np.flatnonzero(served.session.corrections(0).marks != UNTOUCHED).tolist() == list(
            range(60, 80)
        )
