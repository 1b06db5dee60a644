"""`dolorim demo`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dolorim.cli.common import check_targets, parse, show_run
from dolorim.core.errors import UserError


@dataclass(frozen=True)
class _Demo:
    """Simulate a small study, train, evaluate, predict a new video, and show it all on one page."""

    out: Path = Path("dolorim-demo")
    """Folder for everything that the demo makes."""
    minutes: float = 2.0
    """Training time."""
    seed: int = 0
    """Seed of the simulation and of training."""
    only_study: bool = False
    """Only simulate: OUT/study to learn from, and OUT/new, a video of one more animal."""


def run(arguments: list[str]) -> int:
    """`dolorim demo`"""
    given = parse(_Demo, arguments, "dolorim demo")
    check_targets(given)
    study, new, run_folder = given.out / "study", given.out / "new", given.out / "run"
    if (run_folder / "config.toml").exists() or (given.only_study and study.exists()):
        raise UserError(
            f"{given.out}: holds a demo already; delete the folder or choose another with --out"
        )
    _simulate(study, new, given)
    from dolorim.terminal import say

    if given.only_study:
        say(f"the study is in {study}, a new video in {new / 'Videos'}")
        return 0
    from dolorim import api
    from dolorim.dataset.study import in_study_folder
    from dolorim.presets import DEMO
    from dolorim.reporting.run_page import write_run_page

    # The cache stays in the demo's folder, so that deleting it leaves nothing behind.
    data = in_study_folder(study, dataclasses.replace(DEMO.data, cache=given.out / "cache"))
    training = dataclasses.replace(DEMO.train, max_minutes=given.minutes, seed=given.seed)
    run = api.train_config(dataclasses.replace(DEMO, data=data, train=training), run_folder)
    metrics = show_run(run.folder)
    predictions = given.out / "predictions"
    run.predict_all(new / "Videos", predictions, overlay=True)
    page = write_run_page(given.out / "demo.html", run.path, metrics, predictions, simulated=True)
    say(f"open {page}")
    return 0


def _simulate(study: Path, new: Path, given: _Demo) -> None:
    """Simulate the study, and a video of an animal that is not in it."""
    from dolorim.core.workers import usual_workers
    from dolorim.simulate.study import StudyPlan, simulate_study
    from dolorim.terminal import progress, say

    # The new animal has the number after the last one of the study.
    plan = StudyPlan(seed=given.seed)
    n_frames = plan.animals * plan.trials * plan.trial_length
    say(f"simulating {plan.animals} mice ({n_frames} frames) in {given.out}")
    with progress("simulating", n_frames) as bar:
        simulate_study(study, plan, usual_workers(), bar)
    simulate_study(new, StudyPlan(animals=1, first=plan.animals, trials=1, seed=given.seed))
