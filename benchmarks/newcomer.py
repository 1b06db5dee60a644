"""How long a newcomer takes from a folder of videos to a finding, in a real browser, by keys.

A script stands for the newcomer: it opens `dolorim studio` on a folder that holds nothing but the
videos of a simulated study, and labels by the simulated truth. Everything is simulated, so the
scores say that the loop works, and nothing about real mice. After each round, the animals of a
second folder, which nobody labels, are predicted and scored.

    python -m benchmarks.newcomer [--seed 0] [--work DIR] [--pictures DIR]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Error, sync_playwright

from benchmarks.common import RESULTS, machine
from benchmarks.newcomer_study import (
    UNTOUCHED,
    Material,
    choose_bouts,
    make_material,
    score_untouched,
)
from benchmarks.studio_hands import ARGUMENTS, Hands, Server, wait_job
from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Jobs

BOUTS = 12  # labeled by hand before the first round
CHECKED = 20  # checked on the wall before the second
CHROMIUM = "/usr/bin/chromium"


@dataclass
class Step:
    """One step of the walk: seconds by the clock, and processor seconds of its jobs."""

    name: str
    clock_s: float = 0.0
    jobs_processor_s: float = 0.0
    told: str = ""


@dataclass
class Walk:
    """The newcomer on the way."""

    hands: Hands
    server: Server
    material: Material
    pictures: Path | None
    steps: list[Step] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    n_jobs: int = 0  # when the present step began
    failed: bool = False

    @property
    def home(self) -> StudioHome:
        return StudioHome(self.material.videos)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = Step(name)
        self.n_jobs = len(Jobs(self.home.jobs).all())
        began = time.monotonic()
        try:
            yield step
        except (Error, RuntimeError, ValueError, AssertionError) as error:
            # The walk goes on, so that its page tells of everything that fails.
            step.told = f"FAILED: {' '.join(str(error).split())[:200]}"
            self.failed = True
        step.clock_s = time.monotonic() - began
        self.steps.append(step)
        print(f"{step.clock_s:6.1f} s  {name}  {step.told}", flush=True)
        self.picture(name)

    def picture(self, name: str) -> None:
        if self.pictures is not None:
            file = f"{len(self.steps):02}_{name.replace(' ', '_')}.png"
            self.hands.page.screenshot(path=str(self.pictures / file))

    def wait_job(self, step: Step) -> None:
        """Wait for the job that was just asked for."""
        job, processor_s = wait_job(self.home, self.n_jobs + 1)
        if job.state != "done":
            raise RuntimeError(f"{job.title}: {job.state}, see {self.home.jobs}")
        step.jobs_processor_s += processor_s

    # -- the steps --

    def open(self) -> None:
        with self.step("open the studio"):
            self.server.start()
            self.hands.page.goto(self.server.url)
            self.hands.page.wait_for_selector("#recordings-form")

    def confirm_animals(self) -> None:
        """The guessed animals are right; the groups are typed in, from row to row by Tab."""
        page = self.hands.page
        with self.step("confirm animals, name groups") as step:
            for name, group in self.material.groups.items():
                field_ = page.get_by_label(f"group of {name}", exact=False).first
                field_.focus()
                page.keyboard.insert_text(group)
            self.hands.press("Enter")
            page.wait_for_selector("#recordings [role=status]")
            step.told = page.locator("#recordings p").first.inner_text()

    def confirm_classes(self) -> None:
        with self.step("confirm the behaviors"):
            self.hands.press_button("Save ethogram.toml")
            self.hands.page.wait_for_selector("#ethogram [role=status]")

    def label(self) -> None:
        bouts = choose_bouts(self.material, BOUTS)
        hands = self.hands
        with self.step(f"label {BOUTS} bouts by keys") as step:
            hands.go("Label")
            hands.wait_recording()
            for name, of_recording in bouts.items():
                hands.to_recording(name)
                for start, stop, label in of_recording:
                    hands.label(start, stop, label)
                hands.wait_saved()
            step.told = f"{sum(map(len, bouts.values()))} bouts in {len(bouts)} animals"

    def learn(self, number: int) -> None:
        hands = self.hands
        with self.step(f"learn, round {number}") as step:
            hands.page.goto(self.server.url.partition("?")[0] + "learn")
            hands.press("l")
            self.wait_job(step)
            hands.page.wait_for_selector(f"#rounds tbody tr:nth-child({number})")
            step.told = hands.page.locator("#rounds .score").inner_text()

    def see_predictions(self, number: int) -> None:
        """Predictions appear in the labeling room."""
        with self.step(f"see predictions, round {number}"):
            self.hands.go("Label")
            self.hands.wait_recording()
            self.hands.until("state.rec.predicted")

    def check(self) -> None:
        """Bouts on the wall, the most doubtful of each behavior first: right, or another one."""
        hands, page, wrong = self.hands, self.hands.page, 0
        with self.step(f"check {CHECKED} bouts on the wall") as step:
            hands.go("Wall")
            page.wait_for_selector("#bouts li[aria-selected]")
            classes = page.locator("#wall-class option")
            values = [option.get_attribute("value") or "" for option in classes.all()]
            shares = -(-CHECKED // len(values))
            checked = 0
            for value in values:
                bouts = hands.to_class_on_wall(value)
                for bout in bouts[: min(shares, CHECKED - checked)]:
                    right = self.right_class(bout)
                    is_right = right == bout["label"]
                    hands.press("a" if is_right else str(right + 1))
                    checked, wrong = checked + 1, wrong + (not is_right)
                hands.wait_saved_on_wall()
            step.told = f"{checked} bouts, {wrong} of them got another behavior"

    def right_class(self, bout: dict[str, Any]) -> int:
        """What most frames of a bout really show."""
        [name] = [name for name in self.material.names if bout["animal"] in name]
        labels = self.material.truth[name][bout["start"] : bout["stop"]]
        known = labels[labels >= 0]
        return int(np.bincount(known).argmax()) if len(known) else int(bout["label"])

    def predict_others(self, number: int) -> None:
        """The animals that nobody touches, by the page Predict."""
        page = self.hands.page
        with self.step(f"predict other animals, round {number}") as step:
            page.goto(self.server.url.partition("?")[0] + "predict")
            page.get_by_label("Folder or video").focus()
            page.keyboard.insert_text(str(self.material.untouched))
            self.hands.press("Enter")
            self.wait_job(step)
            [folder] = self.home.other_predictions.iterdir()
            score = score_untouched(folder, self.material)
            self.scores.append(score)
            step.told = f"simulated, macro-F1 on untouched animals: {score:.2f}"

    def report(self) -> None:
        page = self.hands.page
        with self.step("report with groups") as step:
            self.hands.go("Findings")
            self.hands.press_button("Make the report")
            self.wait_job(step)
            frame = page.frame_locator("#report iframe")
            frame.locator("h1").first.wait_for()
            step.told = frame.locator("h1").first.inner_text()

    def export(self) -> None:
        page = self.hands.page
        with self.step("export") as step:
            self.hands.go("Export")
            self.hands.press_button("Export")
            self.wait_job(step)
            page.wait_for_selector("#exported code")
            step.told = page.locator("#exported p").first.inner_text()

    def all(self) -> None:
        self.open()
        self.confirm_animals()
        self.confirm_classes()
        self.label()
        self.learn(1)
        self.see_predictions(1)
        self.predict_others(1)
        self.check()
        self.learn(2)
        self.predict_others(2)
        self.report()
        self.export()


def write_results(walk: Walk, seed: int) -> None:
    """The times and scores as JSON, and as a page."""
    total_s = sum(step.clock_s for step in walk.steps)
    jobs_s = sum(step.jobs_processor_s for step in walk.steps)
    command = f"python -m benchmarks.newcomer --seed {seed}"
    loads = os.getloadavg()
    content = {
        "command": command,
        **machine(),
        "load": loads[1],
        "steps": [dataclasses.asdict(step) for step in walk.steps],
        "clock_s": total_s,
        "jobs_processor_s": jobs_s,
        "macro_f1_untouched_simulated": walk.scores,
        "errors_on_pages": walk.hands.errors,
    }
    (RESULTS / "newcomer.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    rows = [
        f"| {step.name} | {step.clock_s:.0f} | {step.jobs_processor_s:.0f} | {step.told} |"
        for step in walk.steps
    ]
    scores = " and ".join(f"{score:.2f}" for score in walk.scores)
    lines = [
        "# A newcomer in the studio",
        "",
        "From a folder of videos alone to a report and an export, in Chromium, by keys, with no",
        "terminal. A script stands for the person: it labels at once and never hesitates, so the",
        "times are those of the program. **Everything is simulated**: the scores say that the loop",
        "works, and nothing about real mice.",
        "",
        f"`{command}`, {content['date']}, {content['cpu']}, with an average load of {loads[1]:.0f}",
        "by other work meanwhile. Jobs of the studio run with low priority.",
        "",
        "| step | clock, s | processor of its jobs, s | |",
        "|---|---|---|---|",
        *rows,
        f"| all | {total_s:.0f} | {jobs_s:.0f} | |",
        "",
        f"Macro-F1 on {UNTOUCHED} simulated animals that nobody labeled, after each round:",
        f"{scores}.",
    ]
    (RESULTS / "newcomer.md").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        work = given.work or Path(temporary)
        material = make_material(work, given.seed)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        server = Server(material.videos)
        hands = Hands(browser)
        walk = Walk(hands, server, material, given.pictures)
        try:
            walk.all()
        finally:
            walk.picture("end")
            server.stop()
    write_results(walk, given.seed)
    if walk.failed or hands.errors:
        sys.exit("not all went well")


if __name__ == "__main__":
    main()
