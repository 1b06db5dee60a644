"""The app of the studio: the pages, the jobs, and the labeling room in one address.

`dolorim.review.guard` says who may ask. Nothing is learned or predicted in this process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from dolorim.core.crashes import log_crash, traceback_of
from dolorim.core.errors import UserError
from dolorim.review.server import static_file
from dolorim.studio import (
    export_page,
    findings_page,
    folders_page,
    jobs_page,
    learn_page,
    predict_page,
    study_page,
    wall,
)
from dolorim.studio.jobs import Tender
from dolorim.studio.studio import Studio

PAGE_MODULES = (
    study_page,
    learn_page,
    wall,
    predict_page,
    findings_page,
    export_page,
    jobs_page,
    folders_page,
)
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_STATIC = {
    path.name: path.read_bytes()
    for path in (files("dolorim.studio") / "static").iterdir()
    if path.is_file()
}


def make_studio_app(studio: Studio) -> Starlette:
    """The whole app, without the guard."""
    own: list[BaseRoute] = [
        Route("/static/{name}", _room_static),
        Route("/studio/{name}", _static),
        Route("/label", _RoomPage(studio)),
    ]
    for module in PAGE_MODULES:
        own += module.routes(studio)
    # What is left are the data of the labeling room.
    own.append(Mount("/", _RoomData(studio)))

    async def refused(request: Request, error: Exception) -> Response:
        status = 404 if request.method == "GET" else 422
        return _problem(studio, request, str(error), status)

    async def crashed(request: Request, error: Exception) -> Response:
        where = request.url.path
        text = f"unexpected {type(error).__name__}; {log_crash(where, traceback_of(error))}"
        studio.tell(f"error: {where}: {text}")
        return _problem(studio, request, text, 500)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tender = Tender(lambda: studio.jobs)
        tender.start()
        yield
        tender.end()
        try:
            studio.close()
        except UserError as error:
            studio.tell(f"error: {error}; the histories hold every step")

    return Starlette(
        routes=own,
        exception_handlers={UserError: refused, Exception: crashed},
        lifespan=lifespan,
    )


class _RoomPage:
    """The page of the labeling room, which shows the newest videos and predictions."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response
        try:
            await run_in_threadpool(self._studio.open_room)
            answer = static_file("index.html")
        except UserError as error:
            answer = self._studio.render("problem.html", page="Label", text=str(error))
        await answer(scope, receive, send)


class _RoomData:
    """Passes a request on to the labeling room that is open."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        studio = self._studio
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await PlainTextResponse("There is no such page.\n", 404)(scope, receive, send)
            return
        # Who asks for the study is about to show it, and sees it as it is now.
        opening = studio.open_room if scope["path"] == "/api/study" else studio.current_room
        room = await run_in_threadpool(opening)
        await room.app(scope, receive, send)


async def _room_static(request: Request) -> Response:
    return static_file(request.path_params["name"])


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(_STATIC[name], media_type=_TYPES[name[name.rindex(".") :]])


def _problem(studio: Studio, request: Request, text: str, status: int) -> Response:
    """What went wrong: as a line for a part of a page, else as a page."""
    if request.headers.get("hx-request"):
        return studio.render("_problem.html", status=status, text=text)
    return studio.render("problem.html", status=status, text=text)
