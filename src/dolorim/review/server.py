"""The local web server of the review page.

Requests name recordings by number, never by path. `dolorim.review.guard` says who may ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.resources import files

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dolorim.core.crashes import log_crash, traceback_of
from dolorim.core.errors import UserError
from dolorim.review.changes import (
    MalformedRequestError,
    carry_out,
    read_json_body,
    version_and_steps,
)
from dolorim.review.corrections import RequestError, VersionError
from dolorim.review.keys import write_keys
from dolorim.review.progress import Progress
from dolorim.review.session import Session

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_STATIC = {
    p.name: p.read_bytes() for p in (files("dolorim.review") / "static").iterdir() if p.is_file()
}
_MOST_FRAMES = 64  # per request
_MOST_POINTS = 1 << 14  # frames with keypoints per request
_LARGEST_TILE = 1 << 20  # columns, and frames per column
_LARGEST_STEP = 1000  # between frames that are requested together


class OutdatedPageError(UserError):
    """A request of a page that knows other recordings than there are now."""


def make_app(
    session: Session, progress: Progress, tell: Callable[[str], object] = print
) -> Starlette:
    """The pages and the data, without the guard."""

    async def page(request: Request) -> Response:
        return static_file("index.html")

    async def static(request: Request) -> Response:
        return static_file(request.path_params["name"])

    async def study(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(session.study))

    async def recording(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(session.recording, number(request)))

    async def frames(request: Request) -> Response:
        first, count = integer(request, "first", 0), integer(request, "count", 1)
        step = integer(request, "step", 1)
        opened = session.open(number(request))
        follow = request.query_params.get("follow") == "1"

        def work() -> Response:
            exists = 0 <= first < opened.n_frames_or(first + 1)
            if not (exists and 1 <= count <= _MOST_FRAMES and 1 <= step <= _LARGEST_STEP):
                raise RequestError(f"there is no frame {first}")
            headers = {}
            if follow:
                headers["X-Side"] = f"{opened.side_px:.2f}"
            return _binary(opened.frames(first, count, step, follow), headers)

        return await run_in_threadpool(work)

    async def tile(request: Request) -> Response:
        step, index = integer(request, "step", 1), integer(request, "index", 0)
        opened = session.open(number(request))

        def work() -> Response:
            if not (1 <= step <= _LARGEST_TILE and 0 <= index <= _LARGEST_TILE):
                raise RequestError("there is no such tile")
            columns, has_probabilities, has_motion = opened.tile(step, index)
            headers = {
                "X-Channels": str(columns.shape[1]),
                "X-Probabilities": str(int(has_probabilities)),
                "X-Motion": str(int(has_motion)),
            }
            return _binary(columns.tobytes(), headers)

        return await run_in_threadpool(work)

    async def points(request: Request) -> Response:
        first, count = integer(request, "first", 0), integer(request, "count", 1)
        points = await run_in_threadpool(lambda: session.open(number(request)).points)
        if points is None or not (first >= 0 and 1 <= count <= _MOST_POINTS):
            raise RequestError("there are no points")
        _, _, table = points
        return _binary(table[first : first + count].astype("<f4").tobytes())

    async def times(request: Request) -> Response:
        times_s = await run_in_threadpool(session.open(number(request)).times)
        return _binary(times_s.astype("<f4").tobytes())

    async def change(request: Request) -> Response:
        i, what, body = number(request), request.path_params["what"], await read_json_body(request)
        version, steps = version_and_steps(body, what)
        corrections = await run_in_threadpool(session.corrections, i)
        try:
            await run_in_threadpool(carry_out, corrections, version, steps)
        except VersionError:
            return JSONResponse(await run_in_threadpool(session.correction_state, i, True), 409)
        return JSONResponse(await run_in_threadpool(session.correction_state, i))

    async def raters(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(session.raters, number(request)))

    async def keys(request: Request) -> Response:
        body = await read_json_body(request)
        classes = session.review.ethogram.classes
        await run_in_threadpool(write_keys, session.folder, body.get("keys"), classes)
        return JSONResponse({"saved": True})

    async def save(request: Request) -> Response:
        await read_json_body(request)

        def work() -> None:
            session.save()
            progress.remember()

        await run_in_threadpool(work)
        return JSONResponse({"saved": True})

    async def report(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(progress.report))

    def number(request: Request) -> int:
        # A number means another recording to a page that was loaded before the study changed.
        known = request.headers.get("x-study")
        if known is not None and known != session.key:
            raise OutdatedPageError("the recordings of this study have changed; reload this page")
        i = int(request.path_params["number"])
        if i >= len(session.review.items):
            raise RequestError("there is no such recording")
        return i

    async def refused(request: Request, error: Exception) -> Response:
        text = str(error)
        if "number" in request.path_params:
            i = int(request.path_params["number"])
            if i < len(session.review.items):
                text = session.blind(i, text)
        elif session.blinded:
            text = "the files could not be written; the terminal says why"
            tell(str(error))
        return JSONResponse({"error": text}, _status_of(error, request.method))

    async def crashed(request: Request, error: Exception) -> Response:
        where = request.url.path
        text = f"unexpected {type(error).__name__}; {log_crash(where, traceback_of(error))}"
        tell(f"error: {where}: {text}")
        if session.blinded:  # the text may hold the name of a file
            text = "a bug in dolorim; the terminal says more"
        return JSONResponse({"error": text}, 500)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        try:
            session.close()
            progress.remember()
        except UserError as error:
            tell(
                f"error: {error}; the histories hold every step, and the label files are written "
                "at the next start"
            )

    one = "/api/recording/{number:int}"
    routes = [
        Route("/", page),
        Route("/static/{name}", static),
        Route("/api/study", study),
        Route("/api/progress", report),
        Route("/api/save", save, methods=["POST"]),
        Route("/api/keys", keys, methods=["POST"]),
        Route(one, recording),
        Route(one + "/{what}", change, methods=["POST"]),
        *(Route(f"{one}/{f.__name__}", f) for f in (frames, tile, points, times, raters)),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={UserError: refused, Exception: crashed},
        lifespan=lifespan,
    )


def _status_of(error: Exception, method: str) -> int:
    """The status of the answer to a request that failed."""
    if isinstance(error, MalformedRequestError):
        return 400
    if isinstance(error, OutdatedPageError):
        return 503  # the page keeps its steps, and sends them after it is loaded again
    if method == "GET" or isinstance(error, RequestError):
        return 422
    return 507  # corrections could not be written


def integer(request: Request, name: str, default: int) -> int:
    try:
        return int(request.query_params.get(name, default))
    except ValueError:
        raise RequestError(f"expected a whole number for {name}") from None


def static_file(name: str) -> Response:
    """A script, a style or the page, as it lies in `review/static`."""
    if name not in _STATIC:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(_STATIC[name], media_type=_TYPES[name[name.rindex(".") :]])


def _binary(content: bytes | np.ndarray, headers: dict[str, str] | None = None) -> Response:
    return Response(bytes(content), media_type="application/octet-stream", headers=headers)
