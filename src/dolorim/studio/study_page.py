"""The page Study: recordings, behaviors, chambers, and what `check` has found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.review.changes import read_json_body
from dolorim.studio import chambers_form, ethogram_form, reading_form, recordings_form
from dolorim.studio.check_findings import check_command, job_values, read_result
from dolorim.studio.home import StudioHome
from dolorim.studio.studio import Studio

Save = Callable[[StudioHome, dict[str, Any]], None]
_DEMO = "dolorim-demo"
_DEMO_TITLE = "Simulate the demo study"


def routes(studio: Studio) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        return await run_in_threadpool(_page, studio)

    async def findings(request: Request) -> Response:
        result = await run_in_threadpool(read_result, studio.home, studio.jobs)
        return studio.render("_check.html", check=result)

    async def check(request: Request) -> Response:
        def work() -> Response:
            studio.jobs.add(**job_values(studio.home))
            result = read_result(studio.home, studio.jobs)
            return studio.render("_check.html", check=result)

        return with_new_job(await run_in_threadpool(work))

    async def demo(request: Request) -> Response:
        await run_in_threadpool(_start_demo, studio)
        return with_new_job(await run_in_threadpool(_start_part, studio))

    async def start(request: Request) -> Response:
        return await run_in_threadpool(_start_part, studio)

    async def recordings(request: Request) -> Response:
        return await _saved(request, recordings_form.save_form, _recordings_part)

    async def ethogram(request: Request) -> Response:
        return await _saved(request, ethogram_form.save_form, _ethogram_part)

    async def reading(request: Request) -> Response:
        return await _saved(request, reading_form.save_form, _reading_part)

    async def chambers(request: Request) -> Response:
        answer = await _saved(request, chambers_form.save_form, _chambers_part)
        # Each chamber is a recording of its own.
        answer.headers["HX-Trigger"] = "chambers-changed"
        return answer

    async def chambers_of(request: Request) -> Response:
        video = request.query_params.get("video", "")
        return await run_in_threadpool(_chambers_part, studio, video)

    async def frame(request: Request) -> Response:
        video = request.query_params.get("video", "")
        jpeg = await run_in_threadpool(chambers_form.frame_of, studio.home, video)
        return Response(jpeg, media_type="image/jpeg")

    async def proposal(request: Request) -> Response:
        video = request.query_params.get("video", "")
        layout = request.query_params.get("layout", "auto")
        proposed = await run_in_threadpool(chambers_form.proposed, studio.home, video, layout)
        return JSONResponse([[chamber.name, *chamber.box] for chamber in proposed])

    async def _saved(
        request: Request, save: Save, part: Callable[[Studio, str, bool], Response]
    ) -> Response:
        values = await read_json_body(request)

        def work() -> Response:
            save(studio.home, values)
            return part(studio, str(values.get("video", "")), True)

        return await run_in_threadpool(work)

    async def recordings_again(request: Request) -> Response:
        return await run_in_threadpool(_recordings_part, studio)

    return [
        Route("/", page),
        Route("/study/start", start),
        Route("/study/demo", demo, methods=["POST"]),
        Route("/study/check", findings),
        Route("/study/check", check, methods=["POST"]),
        Route("/study/recordings", recordings_again),
        Route("/study/recordings", recordings, methods=["POST"]),
        Route("/study/ethogram", ethogram, methods=["POST"]),
        Route("/study/reading", reading, methods=["POST"]),
        Route("/study/chambers", chambers_of),
        Route("/study/chambers", chambers, methods=["POST"]),
        Route("/study/frame", frame),
        Route("/study/proposal", proposal),
    ]


def with_new_job(answer: Response) -> Response:
    """The same answer, with word to the page that there is another job."""
    answer.headers["HX-Trigger"] = "job-added"
    return answer


def _page(studio: Studio) -> Response:
    home = studio.home
    commands: list[list[str]] = []
    if not home.videos():
        return studio.render(
            "start.html", page="Study", demo=_demo_state(studio), commands=[_demo_command(home)]
        )
    try:
        commands = [check_command(home)]
        problem = ""
    except UserError as error:
        problem = str(error)
    return studio.render(
        "study.html",
        page="Study",
        problem=problem,
        n_videos=len(home.videos()),
        recordings=recordings_form.read_form(home),
        ethogram=ethogram_form.read_form(home),
        reading=reading_form.read_form(home),
        chambers=chambers_form.read_form(home),
        check=read_result(home, studio.jobs),
        saved="",
        commands=commands,
    )


def _recordings_part(studio: Studio, video: str = "", saved: bool = False) -> Response:
    form = recordings_form.read_form(studio.home)
    return studio.render("_recordings.html", recordings=form, saved="recordings" if saved else "")


def _ethogram_part(studio: Studio, video: str = "", saved: bool = False) -> Response:
    form = ethogram_form.read_form(studio.home)
    return studio.render("_ethogram.html", ethogram=form, saved="ethogram" if saved else "")


def _reading_part(studio: Studio, video: str = "", saved: bool = False) -> Response:
    form = reading_form.read_form(studio.home)
    return studio.render("_reading.html", reading=form, saved="reading" if saved else "")


def _chambers_part(studio: Studio, video: str = "", saved: bool = False) -> Response:
    form = chambers_form.read_form(studio.home, video)
    return studio.render("_chambers.html", chambers=form, saved="chambers" if saved else "")


# -- the first start --


def _demo_command(home: StudioHome) -> list[str]:
    return ["demo", "--only_study", "--out", str(home.folder / _DEMO)]


def _demo_state(studio: Studio) -> str:
    """Whether the demo study is being made: empty, "ready", or the state of its job."""
    jobs = [job for job in studio.jobs.all() if job.title == _DEMO_TITLE]
    is_there = (studio.home.folder / _DEMO / "study" / "Videos").is_dir()
    if is_there and all(job.has_ended for job in jobs):
        return "ready"
    return str(jobs[-1].state) if jobs else ""


def _start_demo(studio: Studio) -> None:
    if _demo_state(studio) != "ready":
        studio.jobs.add(_DEMO_TITLE, [_demo_command(studio.home)])


def _start_part(studio: Studio) -> Response:
    return studio.render("_start.html", demo=_demo_state(studio))
