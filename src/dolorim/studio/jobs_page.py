"""The strip of jobs on every page: what runs, what waits, and what has ended last."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dolorim.studio.jobs import Job, Jobs, Progress
from dolorim.studio.studio import Studio, as_typed

_MOST_ENDED = 5  # jobs that are listed after they have ended


@dataclass(frozen=True)
class ShownJob:
    """A job in words."""

    job: Job
    bars: tuple[Progress, ...]
    remaining: str
    log: str

    @property
    def commands(self) -> list[str]:
        return [as_typed(command) for command in self.job.commands]


def routes(studio: Studio) -> list[BaseRoute]:
    async def strip(request: Request) -> Response:
        return await run_in_threadpool(_strip, studio)

    async def cancel(request: Request) -> Response:
        await run_in_threadpool(studio.jobs.cancel, request.path_params["number"])
        return await run_in_threadpool(_strip, studio)

    async def resume(request: Request) -> Response:
        await run_in_threadpool(studio.jobs.resume, request.path_params["number"])
        return await run_in_threadpool(_strip, studio)

    one = "/jobs/{number:int}"
    return [
        Route("/jobs", strip),
        Route(f"{one}/cancel", cancel, methods=["POST"]),
        Route(f"{one}/resume", resume, methods=["POST"]),
    ]


def shown_job(jobs: Jobs, job: Job) -> ShownJob:
    """A job with its progress and the end of its log."""
    bars: tuple[Progress, ...] = ()
    if job.state == "running":
        bars = tuple(jobs.progress(job))
    return ShownJob(job, bars, remaining_text(job, bars), jobs.log_tail(job))


def remaining_text(job: Job, bars: tuple[Progress, ...]) -> str:
    """How long a running job will take by what it has done so far; empty if nobody can say."""
    if job.started is None or not bars or not bars[0].total:
        return ""
    share = share_done(bars)
    # So early, what is left is anybody's guess.
    if share < 0.02:
        return ""
    seconds = (time.time() - job.started) * (1 - share) / share
    if seconds < 60:
        return "less than a minute left"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def share_done(bars: tuple[Progress, ...]) -> float:
    """The done share of the outermost bar; the bar within it is a part of its next step."""
    outer = bars[0]
    if not outer.total:
        return 0.0
    within = 0.0
    if len(bars) > 1 and bars[1].total:
        within = min(1.0, bars[1].done / bars[1].total)
    return min(1.0, (outer.done + within) / outer.total)


def _strip(studio: Studio) -> Response:
    jobs = studio.jobs
    everything = jobs.all()
    open_jobs = [job for job in everything if not job.has_ended]
    ended = [job for job in everything if job.has_ended]
    newest = sorted(ended, key=lambda job: job.ended or 0, reverse=True)[:_MOST_ENDED]
    # The page asks again for what depends on jobs whenever this changes.
    mark = ",".join(f"{job.id}{job.state}{job.ended}" for job in newest)
    return studio.render(
        "_jobs.html",
        mark=mark,
        open_jobs=[shown_job(jobs, job) for job in open_jobs],
        ended=[shown_job(jobs, job) for job in newest],
        damaged=[path.name for path in jobs.damaged()],
    )
