"""The page Predict: which run labels which videos, and how far each has come."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.core.wording import counted
from dolorim.files.naming import find_videos
from dolorim.files.structured import read_json
from dolorim.review.changes import read_json_body
from dolorim.studio.folders_page import allowed
from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Job, Jobs
from dolorim.studio.learning import Round, newest_round, predict_command, rounds_of
from dolorim.studio.studio import Studio, text_in
from dolorim.studio.study_page import with_new_job

_OWN = "this study"
_MOST_SETS = 8  # jobs whose videos are listed
_META = ".meta.json"


@dataclass(frozen=True)
class ShownVideo:
    """A video of a batch: done, waiting, or failed with a reason."""

    name: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Batch:
    """A job that labels videos, and its videos."""

    job: Job
    out: Path
    videos: tuple[ShownVideo, ...]

    @property
    def done(self) -> int:
        return sum(video.state == "done" for video in self.videos)


def routes(studio: Studio) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        return await run_in_threadpool(_page, studio)

    async def queue(request: Request) -> Response:
        return await run_in_threadpool(_queue, studio)

    async def add(request: Request) -> Response:
        values = await read_json_body(request)
        place, run = text_in(values, "place"), text_in(values, "run")

        def work() -> Response:
            add_batch(studio, place, run)
            return with_new_job(_queue(studio))

        return await run_in_threadpool(work)

    return [
        Route("/predict", page),
        Route("/predict/queue", queue),
        Route("/predict/add", add, methods=["POST"]),
    ]


def add_batch(studio: Studio, place: str, run_name: str = "") -> Job:
    """Put the videos of a folder, or one video, into the queue; without a place, the study's own.

    Raises `UserError` if there is no finished run, or no video.
    """
    home = studio.home
    run = _chosen_run(home, run_name)
    if place:
        # Videos from elsewhere stay apart from the study's own ones.
        source = allowed(studio, place)
        videos = find_videos([source])
        out = home.other_predictions / _set_name(home, source)
        what = f"{counted(len(videos), 'video')} of {source.name}"
    else:
        videos = home.videos()
        if not videos:
            raise UserError("this study has no videos")
        source, out = home.videos_folder, home.predictions
        what = f"{counted(len(videos), 'video')} of this study"
    command = predict_command(home, run.path, source, out)
    return studio.jobs.add(f"Label {what} with run {run.name}", [command])


def _chosen_run(home: StudioHome, name: str) -> Round:
    newest = newest_round(home)
    if newest is None:
        raise UserError("there is no finished run yet", remedy="learn first (page Learn)")
    if not name:
        return newest
    for run in rounds_of(home):
        if run.name == name:
            return run
    raise UserError(f"there is no finished run {name!r}")


def _set_name(home: StudioHome, source: Path) -> str:
    """A name for the predictions of a place, which no other place has."""
    plain = re.sub(r"[^\w.-]+", "_", source.stem if source.is_file() else source.name) or "videos"
    # A place keeps its folder, so that the next run replaces its predictions.
    taken = {batch_source: out.name for batch_source, out in _sources(home).items()}
    if source in taken:
        return taken[source]
    # Two places of the same name must not share a folder.
    name, number = plain, 1
    while name in taken.values():
        number += 1
        name = f"{plain}-{number}"
    return name


def _sources(home: StudioHome) -> dict[Path, Path]:
    """The folder of predictions that belongs to each place, by the jobs so far."""
    sources = {}
    for job in Jobs(home.jobs).all():
        for _, source, out in _predictions_of(job):
            if out.parent == home.other_predictions:
                sources[source] = out
    return sources


def _predictions_of(job: Job) -> list[tuple[Path, Path, Path]]:
    """Run, place, and results of each `predict` in a job, as this page and Learn write them."""
    predictions = []
    for command in job.commands:
        if command[:1] == ("predict",) and len(command) >= 5 and command[3] == "--out":
            predictions.append((Path(command[1]), Path(command[2]), Path(command[4])))
    return predictions


def _page(studio: Studio) -> Response:
    home = studio.home
    newest = newest_round(home)
    commands: list[list[str]] = []
    problem = studio.room_note
    try:
        if newest is not None and home.videos():
            source, out = home.videos_folder, home.predictions
            commands = [predict_command(home, newest.path, source, out)]
    except UserError as error:
        problem = str(error)
    return studio.render(
        "predict.html",
        page="Predict",
        runs=[*reversed(rounds_of(home))],
        n_videos=len(home.videos()),
        batches=_batches(studio),
        problem=problem,
        commands=commands,
    )


def _queue(studio: Studio) -> Response:
    return studio.render("_predict_queue.html", batches=_batches(studio))


def _batches(studio: Studio) -> list[Batch]:
    """The newest batches, with their videos."""
    batches = []
    for job in reversed(studio.jobs.all()):
        for run, source, out in _predictions_of(job):
            batches.append(_batch(studio, job, run, source, out))
        if len(batches) >= _MOST_SETS:
            break
    return batches


def _batch(studio: Studio, job: Job, run: Path, source: Path, out: Path) -> Batch:
    home = studio.home
    try:
        videos = home.videos() if source == home.videos_folder else find_videos([source])
    except UserError:
        videos = []  # the folder was moved since
    written = _written_by(run, out)
    reasons = _reasons(studio.jobs.log_file(job))
    shown = tuple(_shown_video(video, job, written, reasons) for video in videos)
    return Batch(job, out, shown)


def _shown_video(
    video: Path, job: Job, written: Collection[str], reasons: Sequence[str]
) -> ShownVideo:
    if video.stem in written:
        return ShownVideo(video.name, "done")
    # The job names the file of whatever has failed.
    for reason in reasons:
        if str(video) in reason:
            return ShownVideo(video.name, "failed", reason)
    return ShownVideo(video.name, "not labeled" if job.has_ended else "waits")


def _written_by(run: Path, out: Path) -> set[str]:
    """The stems of the videos that a run has labeled, judging by the files beside the results."""
    stems = set()
    for path in out.glob(f"*{_META}"):
        try:
            meta: Mapping[str, object] = read_json(path)
            if Path(str(meta["run"])) == run.resolve():
                stems.add(Path(str(meta["video"])).stem)
        except (UserError, KeyError, TypeError):
            continue  # it is being written, or not ours
    return stems


def _reasons(log: Path) -> Sequence[str]:
    """The lines in which a job says what has failed."""
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return [line for line in lines if line.startswith(("failed: ", "warning: "))]
