"""`dolorim demo`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dolorim.cli.common import check_targets, parse, show_metrics, show_run
from dolorim.core.errors import UserError

if TYPE_CHECKING:
    from dolorim.api import Run
    from dolorim.results import Report

# How many times as likely a bout is to be licking in one of the groups that are compared.
_EFFECT = 8


@dataclass(frozen=True)
class _Demo:
    """Simulate mice, train, score the run on new animals, report on them, and show it all on one
    page.
    """

    out: Path = Path("dolorim-demo")
    """Folder for everything that the demo makes."""
    minutes: float = 10.0
    """Longest training time. Training ends before, once every behavior is recognized."""
    seed: int = 0
    """Seed of the simulation and of training."""
    only_study: bool = False
    """Only simulate: OUT/study to learn from, and OUT/new, 5 against 5 animals to compare."""


def run(arguments: list[str]) -> int:
    """`dolorim demo`"""
    given = parse(_Demo, arguments, "dolorim demo")
    check_targets(given)
    from dolorim.studio.home import StudioHome

    study, new = given.out / "study", given.out / "new"
    home = StudioHome(study)
    if home.all_runs() or (given.only_study and study.exists()):
        raise UserError(
            f"{given.out}: holds a demo already; delete the folder or choose another with --out"
        )
    _simulate(study, new, given)
    from dolorim.terminal import say

    if given.only_study:
        say(f"the study to learn from is in {study}, another with two groups in {new}")
        return 0
    from dolorim import api
    from dolorim.dataset.study import in_study_folder
    from dolorim.presets import DEMO

    # Run and cache lie where the studio looks for them, and deleting OUT leaves nothing behind.
    data = in_study_folder(study, dataclasses.replace(DEMO.data, cache=home.cache))
    training = dataclasses.replace(DEMO.train, max_minutes=given.minutes, seed=given.seed)
    config = dataclasses.replace(DEMO, data=data, train=training)
    trained = api.train_config(config, home.next_run())
    page = _compare_groups(trained, new, given.out)
    say(f"open {page}, or the study with its run in the studio: dolorim studio {study}")
    return 0


def _simulate(study: Path, new: Path, given: _Demo) -> None:
    """Simulate a study to learn from, and one whose groups are to be compared."""
    from dolorim.core.workers import usual_workers
    from dolorim.simulate.study import StudyPlan, simulate_study
    from dolorim.terminal import progress, say

    # From number 9 on, five animals of each group come first, of both sexes.
    plans = {
        study: StudyPlan(seed=given.seed),
        new: StudyPlan(animals=10, first=9, trials=3, seed=given.seed, effect=_EFFECT),
    }
    for folder, plan in plans.items():
        n_frames = plan.animals * plan.n_frames
        say(f"simulating {plan.animals} mice ({n_frames} frames) in {folder}")
        with progress("simulating", n_frames) as bar:
            simulate_study(folder, plan, usual_workers(), bar)


def _compare_groups(run: Run, new: Path, out: Path) -> Path:
    """Score the run on the animals of `new`, compare their groups, and write the page."""
    from dolorim import api
    from dolorim.reporting.run_page import GroupStudy, write_run_page
    from dolorim.training.callbacks import ending_text

    scores = api.evaluate(run, new, cache=run.config.data.cache)
    metrics = {**show_run(run.folder), **scores}
    show_metrics(run.folder, scores)
    predictions = run.folder.predictions("other")
    groups = new / "recordings.csv"
    title = "Simulated study: 5 against 5 mice"
    report = api.report(
        predictions,
        groups=groups,
        out=out / "report",
        title=title,
        # The effect is on licking, so that is what the report asks about first.
        pain=("paw_lick", "paw_withdraw"),
    )
    one_video = sorted((new / "Videos").iterdir())[0]
    run.predict_all(one_video, out / "overlay", overlay=True)
    study = GroupStudy(title, report.page, report.sentences, _simulated_effect(run, report))
    training = run.folder.read_training()
    assert training is not None
    ending = ending_text(training, run.config.train)
    return write_run_page(out / "demo.html", run.path, metrics, out / "overlay", ending, study)


def _simulated_effect(run: Run, report: Report) -> str:
    """How much the simulated mice of each group really lick, in a sentence."""
    import numpy as np

    from dolorim.evaluation.evaluate import read_scored

    ethogram = run.folder.read_ethogram()
    lick = ethogram.classes.index("paw_lick")
    group_of = {recording.animal: recording.group for recording in report.study.recordings}
    percents: dict[str, list[float]] = {}
    for scored in read_scored(run.folder.predictions("other"), ethogram).values():
        labels = scored.truth[scored.truth >= 0]
        percents.setdefault(group_of[scored.animal], []).append(100 * np.mean(labels == lick))
    treated, control = np.mean(percents["CFA"]), np.mean(percents["saline"])
    return (
        f"The simulated CFA mice lick {treated:.1f} % of the time and the simulated saline mice "
        f"{control:.1f} %: a difference of {treated - control:.1f} percentage points."
    )
