"""The local web server of the review page.

Whoever opens the page must know the one-time token that was printed with the address; it is
exchanged for a cookie that only this site gets. Recordings have numbers, never paths; the Host
header must name this machine; scripts and styles come from here or not at all.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dolorim.core.crashes import log_crash, traceback_of
from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json
from dolorim.review.corrections import Corrections, RequestError, VersionError
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
USUAL_PORT = 8719
_BODY = 1 << 20
_MOST_FRAMES = 64
_TAG = 40  # characters of a step's id
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class MalformedRequestError(RequestError):
    """A request whose body is not what a request's body is."""


class Guard:
    """Lets requests through that name this machine and carry the cookie, or the token that is
    exchanged for it.

    A token works once; `renewed` is told the next one.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, token: str, renewed: Callable[[str], object]
    ) -> None:
        self.app, self.port, self._token, self._renewed = app, port, token, renewed
        self._cookie, self._session = f"dolorim_{port}", secrets.token_urlsafe(32)
        self._names = {"localhost", host.casefold(), socket.gethostname().casefold()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = self._refuse(request)
        given = request.query_params.get("token", "")
        page = request.method == "GET" and scope["path"] == "/"
        fresh = (
            refusal is None and page and hmac.compare_digest(given.encode(), self._token.encode())
        )
        known = hmac.compare_digest(
            request.cookies.get(self._cookie, "").encode(), self._session.encode()
        )
        if refusal is None and not fresh and not known:
            refusal = PlainTextResponse(
                "This page needs the address with the one-time token that dolorim review has "
                "printed.\n"
                "A token works once; after that the terminal shows the next one.\n",
                403,
            )
        headers = dict(_HEADERS)
        if fresh:
            self._token = secrets.token_urlsafe(24)
            self._renewed(self._token)
            headers["Set-Cookie"] = (
                f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
            )

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
                message = {**message, "headers": [*message.get("headers", []), *raw]}
            await send(message)

        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refuse(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_us(host):
            return PlainTextResponse("This host name is not one of this machine.\n", 421)
        if request.method in ("GET", "HEAD"):
            return None
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("Requests from other pages are refused.\n", 403)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return PlainTextResponse("Expected application/json.\n", 415)
        return None

    def _is_us(self, host: str) -> bool:
        # A number cannot be made to point here by somebody else's name server; a name can.
        name = host.casefold()
        name = name[: name.rindex("]") + 1].strip("[]") if "]" in name else name.partition(":")[0]
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self._names


def make_app(desk: Session, progress: Progress, tell: Callable[[str], object] = print) -> Starlette:
    """The pages and the data, without the guard."""

    async def page(request: Request) -> Response:
        return _static("index.html")

    async def static(request: Request) -> Response:
        return _static(request.path_params["name"])

    async def study(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(desk.study))

    async def recording(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(desk.recording, number(request)))

    async def frames(request: Request) -> Response:
        first, count, step = (
            integer(request, n, d) for n, d in (("first", 0), ("count", 1), ("step", 1))
        )
        opened = desk.open(number(request))
        follow = request.query_params.get("follow") == "1"

        def work() -> Response:
            if not (
                0 <= first < opened.n_frames_or(first + 1)
                and 1 <= count <= _MOST_FRAMES
                and 1 <= step <= 1000
            ):
                raise RequestError(f"there is no frame {first}")
            headers = {"X-Side": f"{opened.side_px:.2f}"} if follow else {}
            return _binary(opened.frames(first, count, step, follow), headers)

        return await run_in_threadpool(work)

    async def tile(request: Request) -> Response:
        step, index = integer(request, "step", 1), integer(request, "index", 0)
        opened = desk.open(number(request))

        def work() -> Response:
            if not (1 <= step <= 1 << 20 and 0 <= index <= 1 << 20):
                raise RequestError("there is no such tile")
            found, sure, motion = opened.tile(step, index)
            headers = {
                "X-Channels": str(found.shape[1]),
                "X-Probabilities": str(int(sure)),
                "X-Motion": str(int(motion)),
            }
            return _binary(found.tobytes(), headers)

        return await run_in_threadpool(work)

    async def points(request: Request) -> Response:
        first, count = integer(request, "first", 0), integer(request, "count", 1)
        found = await run_in_threadpool(lambda: desk.open(number(request)).points)
        if found is None or not (first >= 0 and 1 <= count <= 1 << 14):
            raise RequestError("there are no points")
        return _binary(found[2][first : first + count].astype("<f4").tobytes())

    async def times(request: Request) -> Response:
        found = await run_in_threadpool(desk.open(number(request)).times)
        return _binary(found.astype("<f4").tobytes())

    async def change(request: Request) -> Response:
        i, what, body = number(request), request.path_params["what"], await _json(request)
        version = body.get("version")
        steps = body.get("steps") if what == "steps" else [{**body, "what": what}]
        if (
            type(version) is not int
            or not isinstance(steps, list)
            or not all(isinstance(s, dict) for s in steps)
        ):
            raise RequestError("expected a version and a change")
        corrections = await run_in_threadpool(desk.corrections, i)
        try:
            await run_in_threadpool(_carry_out, corrections, version, steps)
        except VersionError:
            return JSONResponse(await run_in_threadpool(desk.correction_state, i, True), 409)
        return JSONResponse(await run_in_threadpool(desk.correction_state, i))

    async def save(request: Request) -> Response:
        await _json(request)

        def work() -> None:
            desk.save()
            progress.remember()

        await run_in_threadpool(work)
        return JSONResponse({"saved": True})

    async def report(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(progress.report))

    def number(request: Request) -> int:
        found = int(request.path_params["number"])
        if found >= len(desk.review.items):
            raise RequestError("there is no such recording")
        return found

    async def mistaken(request: Request, error: Exception) -> Response:
        text = str(error)
        if "number" in request.path_params:
            i = int(request.path_params["number"])
            text = desk.blind(i, text) if i < len(desk.review.items) else text
        elif desk.blinded:
            text = "the files could not be written; the terminal says why"
            tell(str(error))
        if isinstance(error, MalformedRequestError):
            return JSONResponse({"error": text}, 400)
        return JSONResponse(
            {"error": text},
            422 if request.method == "GET" or isinstance(error, RequestError) else 507,
        )

    async def crashed(request: Request, error: Exception) -> Response:
        where = request.url.path
        text = f"unexpected {type(error).__name__}; {log_crash(where, traceback_of(error))}"
        tell(f"error: {where}: {text}")
        return JSONResponse(
            {"error": "a bug in dolorim; the terminal says more" if desk.blinded else text}, 500
        )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        try:
            desk.close()
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
        Route(one, recording),
        Route(one + "/{what}", change, methods=["POST"]),
        *(Route(f"{one}/{f.__name__}", f) for f in (frames, tile, points, times)),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={UserError: mistaken, Exception: crashed},
        lifespan=lifespan,
    )


def serve(
    desk: Session, progress: Progress, host: str, port: int | None, tell: Callable[[str], object]
) -> None:
    """Serve until Ctrl-C. `tell` is given the lines that a user must see; the first names the
    address.

    Without a port, the usual one is taken, so that a tab that is still open finds the server again;
    else any.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            try:
                listener.bind((host, USUAL_PORT if port is None else port))
                listener.listen()
            except OSError:
                if port is not None:
                    raise
                listener.bind((host, 0))
        except OSError as error:
            where = f"--host {host}" + ("" if port is None else f" --port {port}")
            raise UserError(f"{where}: cannot be used ({error.strerror}); choose another") from None
        port = listener.getsockname()[1]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (
            f"[{host}]" if ":" in host else host
        )
        token = secrets.token_urlsafe(24)
        tell(f"open http://{shown}:{port}/?token={token}")
        guard = Guard(
            make_app(desk, progress, tell), host, port, token,
            lambda new: tell(f"another browser: http://{shown}:{port}/?token={new}"),
        )  # fmt: skip
        config = uvicorn.Config(
            guard, log_level="error", access_log=False, server_header=False, lifespan="on"
        )
        uvicorn.Server(config).run(sockets=[listener])


def integer(request: Request, name: str, default: int) -> int:
    try:
        return int(request.query_params.get(name, default))
    except ValueError:
        raise RequestError(f"expected a whole number for {name}") from None


def _carry_out(corrections: Corrections, version: int, steps: list[dict[str, Any]]) -> None:
    """Do what a page asks for, step by step. Raises `VersionError` where the page has not seen the
    newest state."""
    for number, step in enumerate(steps):
        tags: dict[str, str] = {name: step[name] for name in ("id", "stroke") if name in step}
        if not all(isinstance(tag, str) and 0 < len(tag) <= _TAG for tag in tags.values()):
            raise RequestError(f"expected names of up to {_TAG} characters for id and stroke")
        version = version if number == 0 else corrections.version
        match step.get("what"):
            case "edit":
                corrections.edit(version, _ranges(step.get("ranges")), tags)
            case "state":
                corrections.set_state(version, str(step.get("state")), tags)
            case "undo":
                corrections.undo(version, tags)
            case "redo":
                corrections.redo(version, tags)
            case _:
                raise RequestError("expected a version and a change")


def _ranges(value: Any) -> list[tuple[int, int, int]]:
    fits = isinstance(value, list) and all(
        isinstance(r, list) and len(r) == 3 and all(type(v) is int for v in r) for r in value
    )
    if not fits or not value:
        raise RequestError("expected ranges [[start, stop, class], ...]")
    return [(a, b, c) for a, b, c in value]


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            raise MalformedRequestError("the request is too large")
    try:
        found = parse_json(body, "the request", "send a JSON object")
    except UserError as error:
        raise MalformedRequestError(str(error)) from None
    if not isinstance(found, dict):
        raise MalformedRequestError("expected a JSON object")
    return found


def _static(name: str) -> Response:
    if name not in _STATIC:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(_STATIC[name], media_type=_TYPES[name[name.rindex(".") :]])


def _binary(content: bytes | np.ndarray, headers: dict[str, str] | None = None) -> Response:
    return Response(bytes(content), media_type="application/octet-stream", headers=headers)
