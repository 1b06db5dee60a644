"""What the keys of the review page do to labels, said once more and as plainly as can be: a
reference to test against.

Labels are lists of one number per frame; -1 is untouched, -2 unsure. Undo keeps whole copies.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

UNTOUCHED, UNSURE = -1, -2
CLASSES = {"2": 1, "3": 2, "u": UNSURE}
BACKGROUND = 0


@dataclass
class Stretch:
    """Frames `[start, stop)` that the keys act on. `edges` says what [ and ] do: "move", "narrow"
    or "new"."""

    start: int
    stop: int
    label: int
    edges: str


@dataclass
class Model:
    """The state of the page, without the page."""

    base: list[int]
    marks: list[int]
    frame: int = 0
    second: int = 5
    last_shown: int = 10**9  # the last frame that the timeline shows
    playing: bool = False
    selected: Stretch | None = None
    mark: tuple[int, str] | None = None
    stroke: tuple[int, int] | None = None  # first frame and class of what is being painted
    past: list[list[int]] = field(default_factory=list)
    future: list[list[int]] = field(default_factory=list)

    def labels(self) -> list[int]:
        """What holds, without the stroke that is being painted."""
        return [b if m == UNTOUCHED else m for b, m in zip(self.base, self.marks, strict=True)]

    def shown(self) -> list[int]:
        """What the page shows."""
        labels = self.labels()
        if self.stroke:
            start, label = self.stroke
            labels[start : self.frame + 1] = [label] * (self.frame + 1 - start)
        return labels

    def runs(self) -> list[tuple[int, int, int]]:
        labels, bouts, start = self.labels(), [], 0
        for i in range(1, len(labels) + 1):
            if i == len(labels) or labels[i] != labels[start]:
                if labels[start] != UNTOUCHED:
                    bouts.append((start, i, labels[start]))
                start = i
        return bouts

    def target(self) -> Stretch | None:
        """What a key would act on now."""
        if self.stroke:
            return Stretch(self.stroke[0], self.frame + 1, self.stroke[1], "new")
        if self.selected:
            return self.selected
        if self.mark:
            at = self.mark[0]
            return Stretch(min(at, self.frame), max(at, self.frame) + 1, UNTOUCHED, "mark")
        here = next((r for r in self.runs() if r[0] <= self.frame < r[1]), None)
        return Stretch(*here, "new") if here else None

    def press(self, key: str) -> None:
        match key:
            case " ":
                self.end_stroke()
                self.playing = not self.playing and self.frame < len(self.base) - 1
            case "tick":
                if self.playing:
                    self.frame = min(self.frame + 1, len(self.base) - 1)
                    self.look()
                    if self.frame == len(self.base) - 1:
                        self.end_stroke()
                        self.playing = False
            case "ArrowLeft":
                self.jump(self.frame - 1)
            case "ArrowRight":
                self.jump(self.frame + 1)
            case "Shift+ArrowRight":
                self.jump(self.frame + self.second)
            case "2" | "3" | "u" if self.playing:
                if self.stroke is None or self.stroke[1] != CLASSES[key]:
                    self.end_stroke()
                    self.choose(None)
                    self.stroke = (self.frame, CLASSES[key])
            case "Escape":
                if self.stroke:
                    self.end_stroke()
                else:
                    self.choose(None)
            case _:
                self.end_stroke()
                self.edit(key)

    def edit(self, key: str) -> None:
        aim = self.target()
        if key in ("ArrowDown", "ArrowUp"):
            self.step(1 if key == "ArrowDown" else -1)
        elif key in ("z", "Shift+Z"):
            source, other = (self.past, self.future) if key == "z" else (self.future, self.past)
            if source:
                other.append(self.marks)
                self.marks = source.pop()
                self.choose(None)
        elif key in ("[", "]"):
            self.bracket(key)
        elif aim is None:
            return
        elif key in CLASSES:
            self.lay([(aim.start, aim.stop, CLASSES[key])])
            self.choose(
                Stretch(aim.start, aim.stop, CLASSES[key], "move" if aim.edges == "move" else "new")
            )
        elif key == "c":
            self.choose(None)
            self.lay([(aim.start, aim.stop, UNTOUCHED)])
        elif key == "Delete":
            self.choose(None)
            self.lay([(aim.start, aim.stop, self.instead(aim))])
        elif key == "Enter":
            labels = self.labels()
            self.lay(
                [
                    (i, i + 1, labels[i])
                    for i in range(aim.start, aim.stop)
                    if labels[i] != UNTOUCHED
                ]
            )
            self.step(1)
        elif key == "s":
            if aim.edges != "mark" and aim.start < self.frame < aim.stop:
                rest = self.stretch(self.frame, aim.stop, aim.label)
                if aim.label == UNTOUCHED:
                    rest.edges = aim.edges
                self.choose(rest)
        elif key == "m":
            self.merge(aim)
        else:
            raise KeyError(key)

    def merge(self, aim: Stretch) -> None:
        later = [r for r in self.runs() if r[0] >= aim.stop]
        same = [r for r in later if r[2] == aim.label]
        if aim.label >= 0 and later:
            stop = (same or later)[0][1]
            if stop <= self.last_shown:
                self.lay([(aim.start, stop, aim.label)])
                self.choose(
                    Stretch(aim.start, stop, aim.label, "move" if aim.edges == "move" else "new")
                )

    def bracket(self, key: str) -> None:
        s, here, begins = self.selected, self.frame, key == "["
        if s and s.edges == "move" and (here > s.start if begins else here + 1 < s.stop):
            labels = self.labels()
            if begins:
                self.lay([(s.start, here, self.left_to(labels, s.start - 1, s.start, here,
                s.label)),
                          (here, s.stop, s.label)])  # fmt: skip
                self.choose(Stretch(here, s.stop, s.label, "move"))
            else:
                self.lay([(s.start, here + 1, s.label),
                          (here + 1, s.stop, self.left_to(labels, s.stop, here + 1, s.stop,
                          s.label))])  # fmt: skip
                self.choose(Stretch(s.start, here + 1, s.label, "move"))
        elif s and s.edges == "narrow":
            start, stop = (here, s.stop) if begins else (s.start, here + 1)
            self.choose(Stretch(start, stop, UNTOUCHED, "narrow"))
        elif self.mark and self.mark[1] != key:
            at = self.mark[0]
            self.choose(Stretch(min(at, here), max(at, here) + 1, UNTOUCHED, "narrow"))
            self.playing = False
        else:
            self.choose(None)
            self.mark = (here, key)

    def left_to(
        self, labels: Sequence[int], neighbor: int, start: int, stop: int, label: int
    ) -> int:
        """What frames become that a bout gives up: what its neighbor is; never by chance the same
        class again."""
        beside = labels[neighbor] if 0 <= neighbor < len(labels) else UNTOUCHED
        if beside != UNTOUCHED:
            return beside
        return UNSURE if label in self.base[start:stop] else UNTOUCHED

    def instead(self, aim: Stretch) -> int:
        if all(b == UNTOUCHED for b in self.base[aim.start : aim.stop]):
            return UNTOUCHED
        labels = self.labels()
        before = labels[aim.start - 1] if aim.start else UNTOUCHED
        after = labels[aim.stop] if aim.stop < len(labels) else UNTOUCHED
        if before == after and before >= 0:
            return before
        return UNSURE if aim.label == BACKGROUND else BACKGROUND

    def step(self, direction: int) -> None:
        start = self.selected.start if self.selected else None
        if direction > 0:
            after = self.frame - 1 if start is None else start
            chosen = [r for r in self.runs() if r[0] > after][:1]
        else:
            before = self.frame if start is None else start
            chosen = [r for r in self.runs() if r[0] < before][-1:]
        if chosen:
            self.frame = chosen[0][0]
            self.choose(self.stretch(*chosen[0]))

    def stretch(self, start: int, stop: int, label: int) -> Stretch:
        uniform = set(self.labels()[start:stop]) == {label}
        return Stretch(start, stop, label, "move" if uniform else "narrow")

    def choose(self, stretch: Stretch | None) -> None:
        self.selected, self.mark = stretch, None

    def jump(self, frame: int) -> None:
        self.end_stroke()
        self.frame = min(max(frame, 0), len(self.base) - 1)
        self.look()

    def look(self) -> None:
        if self.selected and not self.selected.start <= self.frame < self.selected.stop:
            self.selected = None

    def end_stroke(self) -> None:
        if self.stroke:
            start, label = self.stroke
            self.stroke = None
            self.lay([(start, self.frame + 1, label)])
            self.choose(Stretch(start, self.frame + 1, label, "new"))

    def lay(self, ranges: Sequence[tuple[int, int, int]]) -> None:
        marks = list(self.marks)
        for start, stop, label in ranges:
            marks[start:stop] = [label] * (stop - start)
        if marks != self.marks:
            self.past.append(self.marks)
            self.future = []
            self.marks = marks

    def copy(self) -> Model:
        other = copy.copy(self)  # lists of labels are replaced, never changed
        other.past, other.future = list(self.past), list(self.future)
        return other
