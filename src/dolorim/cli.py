"""The command line: one function a verb."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import tyro
from pydantic import ValidationError

from dolorim import __version__
from dolorim.config import AugmentConfig, DataConfig, ModelConfig, TrainConfig, explain, read_config
from dolorim.core.errors import UserError
from dolorim.formats.project import in_project, with_project_files
from dolorim.formats.table import write_text

if TYPE_CHECKING:
    from dolorim.engine.run_folder import RunFolder

T = TypeVar("T")

_HELP = """\
dolorim {version}: pain behaviors of mice, frame by frame, from video

usage: dolorim VERB ...

  demo      no data needed: simulate a small study, train, evaluate, predict, and show it on one page
  extract   decode a project once into the frame cache that training reads
  train     learn a lab's behaviors:  dolorim train video --videos Videos --annotations Annotations --run RUN
  evaluate  score a run on its held-out animals, or on another project
  predict   label new videos:  dolorim predict RUN VIDEO...
  inspect   what is in this video, label file or pose file, in one screen

dolorim VERB --help tells all about one of them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 some inputs failed, 2 the user must act, 130 stopped."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verbs: dict[str, Callable[[list[str]], int]] = {
        "demo": demo, "extract": extract, "train": train, "evaluate": evaluate, "predict": predict, "inspect": inspect,
    }  # fmt: skip
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_HELP.format(version=__version__), end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(__version__)
        return 0
    try:
        if arguments[0] not in verbs:
            raise UserError(f"there is no verb {arguments[0]!r}; there are {', '.join(verbs)}")
        return verbs[arguments[0]](arguments[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


@dataclass(frozen=True)
class _Train:
    """Learn behaviors from labelled videos. A run that was interrupted goes on when the same command is given again."""

    run: Path
    """Folder that the run is written to."""
    data: DataConfig
    model: ModelConfig
    augment: AugmentConfig
    train: TrainConfig
    config: Path | None = None
    """Settings of an earlier run (RUN/config.toml) to start from; flags still override them."""
    quiet: bool = False


def train(arguments: list[str]) -> int:
    """`dolorim train APPROACH ...`"""
    from dolorim.presets import PRESETS

    if not arguments or arguments[0] not in PRESETS:
        raise UserError(f"usage: dolorim train {'|'.join(PRESETS)} --videos DIR --annotations DIR --run DIR")
    approach = arguments[0]
    base = PRESETS[approach]
    source = _value_of("--config", arguments)
    if source is not None:
        base = read_config(Path(source))
        if base.approach != approach:
            raise UserError(f"{source}: holds settings of {base.approach}, not of {approach}")
    parts = {name: getattr(base, name) for name in ("data", "model", "augment", "train")}
    given = _parse(_Train, arguments[1:], f"dolorim train {approach}", default=_Train(run=tyro.MISSING, **parts))
    from dolorim.engine.run_folder import RunFolder
    from dolorim.engine.train import train as run_training

    _settle(given.quiet)
    config = dataclasses.replace(
        base, data=with_project_files(given.data), model=given.model, augment=given.augment, train=given.train
    )
    run = run_training(config, RunFolder(given.run))
    _show_run(run)
    return 0


@dataclass(frozen=True)
class _Extract:
    """Decode every video of a project once into the frame cache."""

    project: tyro.conf.Positional[Path]
    """Folder with Videos/ and, if there are any, Annotations/."""
    data: DataConfig = field(default_factory=DataConfig)
    workers: int | None = None
    """Videos that are decoded at a time; without it, one per processor."""
    quiet: bool = False


def extract(arguments: list[str]) -> int:
    """`dolorim extract PROJECT`"""
    given = _parse(_Extract, arguments, "dolorim extract")
    from dolorim.engine.extract import extract as fill_cache
    from dolorim.engine.extract import usual_workers
    from dolorim.engine.talk import say, warn
    from dolorim.formats.project import find_videos

    _settle(given.quiet)
    data = in_project(given.project, given.data)
    assert data.videos is not None
    videos = find_videos([data.videos])
    found, failures = fill_cache(videos, data, given.workers or usual_workers())
    for entry in found.values():
        if entry.damage:
            warn(f"{entry.video}: {entry.damage}")
    say(
        f"{len(found)} of {len(videos)} videos are in the frame cache, {sum(e.n_frames for e in found.values())} frames"
    )
    return _report_failures(failures)


@dataclass(frozen=True)
class _Evaluate:
    """Score a run: on its own held-out animals, or on another project."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    project: tyro.conf.Positional[Path | None] = None
    """Folder with Videos/ and Annotations/ of other animals; without it, the run's own held-out ones."""
    videos: Path | None = None
    annotations: Path | None = None
    recordings: Path | None = None
    trial_layout: Literal["auto", "fixed", "cumulative"] | None = None
    """For another project: as in train."""
    seen_animals_too: bool = False
    """Score animals that the run has learned from as well; the figures will say so."""
    json: Path | None = None
    """Write the figures to this file too."""
    quiet: bool = False


def evaluate(arguments: list[str]) -> int:
    """`dolorim evaluate RUN [PROJECT]`"""
    given = _parse(_Evaluate, arguments, "dolorim evaluate")
    from dolorim.engine.evaluate import evaluate_held_out, evaluate_project
    from dolorim.engine.run_folder import RunFolder

    _settle(given.quiet)
    run = RunFolder(given.run)
    data = run.read_config().data
    if given.project is None and given.videos is None:
        metrics = evaluate_held_out(run)
        if not metrics:
            raise UserError(f"{run.path}: no animals were held out of this run; name another project to score it on")
    else:
        other = dataclasses.replace(
            data, videos=given.videos, annotations=given.annotations, recordings=given.recordings,
            trial_layout=given.trial_layout or data.trial_layout,
        )  # fmt: skip
        other = in_project(given.project, other) if given.project else with_project_files(other)
        other = dataclasses.replace(other, classes=data.classes if other.classes is None else other.classes)
        metrics = {"other": evaluate_project(run, other, run.predictions("other"), given.seen_animals_too)}
    _show_metrics(run, metrics)
    if given.json is not None:
        write_text(given.json, json.dumps(metrics, indent=1) + "\n")
    return 0


@dataclass(frozen=True)
class _Predict:
    """Label videos that the run has not learned from."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Videos, or folders of videos."""
    out: Path | None = None
    """Folder for the results; RUN/predictions/new without it."""
    overlay: bool = False
    """Also write a copy of each video with labels and probabilities painted on it."""
    body_length_px: float | None = None
    """Body length in these videos, where the run has a fixed one and the camera is another."""
    mask: str | None = None
    """Regions of these videos to blank, where they differ from those that the run has learned from."""
    overwrite: bool = True
    """--no-overwrite skips videos whose results are complete, to go on with a batch that was stopped."""
    quiet: bool = False


def predict(arguments: list[str]) -> int:
    """`dolorim predict RUN VIDEO...`"""
    given = _parse(_Predict, arguments, "dolorim predict")
    if not given.videos:
        raise UserError("no videos given; usage: dolorim predict RUN VIDEO...")
    # Threads that wait for each other must not keep the processor from the thread that decodes. Read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from dolorim.engine.predict import predict_videos
    from dolorim.engine.run_folder import RunFolder
    from dolorim.engine.talk import say
    from dolorim.formats.project import find_videos

    _settle(given.quiet)
    run = RunFolder(given.run)
    run.read_config()  # a wrong run folder is said first
    out = given.out or run.predictions("new")
    knobs = {name: getattr(given, name) for name in ("overlay", "overwrite", "body_length_px", "mask")}
    outcome = predict_videos(run, find_videos(given.videos), out, **knobs)
    skipped = f", {len(outcome.skipped)} were done before" if outcome.skipped else ""
    say(f"{len(outcome.done)} videos labelled{skipped}; results in {out}")
    code = max(_report_failures(outcome.failed), _report_failures(outcome.damaged, "damaged"))
    return code if outcome.done or outcome.skipped else 2


@dataclass(frozen=True)
class _Inspect:
    """What is in a video, a label file or a pose file, in one screen."""

    file: tyro.conf.Positional[Path]
    crops: Path | None = None
    """For a video: draw a contact sheet of the follow crop to this PNG file."""
    data: DataConfig = field(default_factory=DataConfig)
    json: bool = False
    """Print the findings as JSON to stdout."""


def inspect(arguments: list[str]) -> int:
    """`dolorim inspect FILE`"""
    given = _parse(_Inspect, arguments, "dolorim inspect")
    from dolorim.data.inspect import contact_sheet, look_at

    found = look_at(given.file, given.data)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        width = max(map(len, found))
        for key, value in found.items():
            print(f"{key:{width}}  {value}")
    if given.crops is not None:
        contact_sheet(given.file, given.data, given.crops)
        print(f"contact sheet: {given.crops}", file=sys.stderr)
    return 1 if found.get("damage") else 0


@dataclass(frozen=True)
class _Demo:
    """Simulate a small study, train, evaluate on held-out animals, predict new videos, and show it all on one page."""

    out: Path = Path("dolorim-demo")
    """Folder for everything that the demo makes."""
    minutes: float = 2.0
    """Training time."""
    seed: int = 0


def demo(arguments: list[str]) -> int:
    """`dolorim demo`"""
    given = _parse(_Demo, arguments, "dolorim demo")
    from dolorim.engine.extract import usual_workers
    from dolorim.engine.predict import predict_videos
    from dolorim.engine.run_folder import RunFolder
    from dolorim.engine.talk import progress, say
    from dolorim.engine.train import train as run_training
    from dolorim.presets import DEMO
    from dolorim.report.page import write_run_page
    from dolorim.simulate.study import StudyPlan, simulate_study

    run = RunFolder(given.out / "run")
    if run.config.exists():
        raise UserError(f"{given.out}: holds a demo already; delete the folder or choose another with --out")
    plan, new = StudyPlan(seed=given.seed), StudyPlan(animals=1, trials=1, seed=given.seed + 1000)
    say(f"simulating {plan.animals} mice ({plan.animals * plan.trials * plan.trial_length} frames) in {given.out}")
    with progress("simulating", plan.animals * plan.trials * plan.trial_length) as bar:
        simulate_study(given.out / "study", plan, usual_workers(), bar)
    simulate_study(given.out / "new", new)
    data = in_project(given.out / "study", dataclasses.replace(DEMO.data, cache=given.out / "cache"))
    settings = dataclasses.replace(DEMO.train, max_minutes=given.minutes, seed=given.seed)
    run_training(dataclasses.replace(DEMO, data=data, train=settings), run)
    metrics = _show_run(run)
    predict_videos(run, sorted((given.out / "new" / "Videos").iterdir()), given.out / "predictions", overlay=True)
    page = write_run_page(given.out / "demo.html", run.path, metrics, given.out / "predictions", simulated=True)
    say(f"open {page}")
    return 0


def _parse(kind: type[T], arguments: Sequence[str], program: str, default: T | None = None) -> T:
    given: dict[str, Any] = {} if default is None else {"default": default}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=list(arguments), prog=program, config=(tyro.conf.OmitArgPrefixes,), **given)
    except SystemExit as stopped:
        problem: BaseException | None = stopped
        while problem is not None and not isinstance(problem, ValidationError):
            problem = problem.__cause__ or problem.__context__
        if problem is not None:
            raise UserError(explain(problem)) from None
        print(said.getvalue(), end="", file=sys.stderr)
        raise


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The value of a flag that has to be known before the others can be read."""
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word == flag:
            return following
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None


def _settle(quiet: bool) -> None:
    from dolorim.engine.talk import be_quiet

    be_quiet(quiet)


def _show_run(run: RunFolder) -> dict[str, Any]:
    metrics = run.read_json("metrics.json")
    _show_metrics(run, metrics)
    return metrics


def _show_metrics(run: RunFolder, metrics: dict[str, Any]) -> None:
    """Tables on the terminal, figures in the run folder."""
    from dolorim.engine.talk import say, show
    from dolorim.report.figures import draw_evaluation
    from dolorim.report.tables import metrics_table

    ethogram = run.read_ethogram()
    for part, found in metrics.items():
        show(metrics_table(part, found, ethogram.indicator))
        draw_evaluation(found, run.predictions(part), ethogram, run.figures, part)
    say(f"run: {run.path} (figures in {run.figures})")


def _report_failures(failures: Sequence[tuple[Path, str]], what: str = "failed") -> int:
    for video, reason in failures:
        text = reason if str(video) in reason else f"{video}: {reason}"
        print(f"{what}: {text}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
