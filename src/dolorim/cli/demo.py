"""`dolorim demo`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dolorim.cli.common import check_targets, parse, show_run
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder


@dataclass(frozen=True)
class _Demo:
    """Simulate a small study, train, evaluate on held-out animals, predict new videos, and show it all on one page."""

    out: Path = Path("dolorim-demo")
    """Folder for everything that the demo makes."""
    minutes: float = 2.0
    """Training time."""
    seed: int = 0
    only_study: bool = False
    """Simulate the study and stop: OUT/study to learn from, and OUT/new, a video of one more animal."""


def run(arguments: list[str]) -> int:
    """`dolorim demo`"""
    given = parse(_Demo, arguments, "dolorim demo")
    check_targets(given)
    from dolorim.core.workers import usual_workers
    from dolorim.inference.inputs import find_inputs
    from dolorim.inference.predict_batch import predict_videos
    from dolorim.inference.run_folder import RunFolder
    from dolorim.presets import DEMO
    from dolorim.reporting.run_page import write_run_page
    from dolorim.simulate.study import StudyPlan, simulate_study
    from dolorim.terminal import progress, say
    from dolorim.training.train import train as run_training

    run = RunFolder(given.out / "run")
    if run.config.exists() or (given.only_study and (given.out / "study").exists()):
        raise UserError(
            f"{given.out}: holds a demo already; delete the folder or choose another with --out"
        )
    plan = StudyPlan(seed=given.seed)
    new = StudyPlan(animals=1, first=plan.animals, trials=1, seed=given.seed)
    say(
        f"simulating {plan.animals} mice ({plan.animals * plan.trials * plan.trial_length} frames) in {given.out}"
    )
    with progress("simulating", plan.animals * plan.trials * plan.trial_length) as bar:
        simulate_study(given.out / "study", plan, usual_workers(), bar)
    simulate_study(given.out / "new", new)
    if given.only_study:
        say(f"the study is in {given.out / 'study'}, a new video in {given.out / 'new' / 'Videos'}")
        return 0
    data = in_study_folder(
        given.out / "study", dataclasses.replace(DEMO.data, cache=given.out / "cache")
    )
    settings = dataclasses.replace(DEMO.train, max_minutes=given.minutes, seed=given.seed)
    run_training(dataclasses.replace(DEMO, data=data, train=settings), run)
    metrics = show_run(run)
    predict_videos(
        run,
        find_inputs(run, [given.out / "new" / "Videos"]),
        given.out / "predictions",
        overlay=True,
    )
    page = write_run_page(
        given.out / "demo.html", run.path, metrics, given.out / "predictions", simulated=True
    )
    say(f"open {page}")
    return 0
