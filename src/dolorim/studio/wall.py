"""The wall: predicted bouts as looping clips, to accept, reject, or relabel by one key each."""

from __future__ import annotations

import threading
from typing import Any, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.core.palette import class_colors
from dolorim.files.structured import parse_json
from dolorim.review.corrections import Corrections, RequestError, VersionError
from dolorim.review.progress import WALL
from dolorim.review.session import Session
from dolorim.studio.clips import ClipMaker
from dolorim.studio.studio import Studio
from dolorim.studio.wall_bouts import ORDERS, Order, WallBout, alike, all_bouts, of_class, verdict

_TRIES = 3  # if the labeling room changes the same recording at the same moment


class Wall:
    """The wall of one studio."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._lock = threading.Lock()
        self._clips: ClipMaker | None = None

    def clips(self) -> ClipMaker:
        with self._lock:
            if self._clips is None or self._clips.cache != self.studio.home.cache:
                self._clips = ClipMaker(self.studio.home.cache)
            return self._clips

    def page(self) -> Response:
        """The page; its bouts follow, because reading them may take a moment."""
        classes: list[dict[str, Any]] = []
        problem, first = "", 0
        try:
            session = self.studio.room()
        except UserError as error:
            problem = str(error)
        else:
            counts = [0] * len(session.review.ethogram)
            for bout in all_bouts(session):
                counts[bout.label] += 1
            names = session.review.ethogram.classes
            for number, (name, n_bouts) in enumerate(zip(names, counts, strict=True)):
                classes.append({"id": number, "name": name, "bouts": n_bouts})
            first = first_class(session, counts)
            if not any(counts):
                problem = "Nothing is predicted yet: learn first."
        return self.studio.render(
            "wall.html", page="Wall", classes=classes, first=first, problem=problem, orders=ORDERS
        )

    def bouts(self, label: int, order: str, like: tuple[int, int, int] | None) -> Response:
        session = self.studio.room()
        if order not in get_args(Order) or not 0 <= label < len(session.review.ethogram):
            raise RequestError("there is no such class or order")
        bouts = all_bouts(session)
        if like is not None:
            chosen = alike(bouts, like, session, self.studio.home.cache)
        else:
            chosen = of_class(bouts, label, order)  # type: ignore[arg-type]
        classes = session.review.ethogram.classes
        colors = [f"#{bytes(color).hex()}" for color in class_colors(len(classes))]
        rows = [self._row(session, bout) for bout in chosen]
        return JSONResponse({"classes": classes, "colors": colors, "bouts": rows})

    def _row(self, session: Session, bout: WallBout) -> dict[str, Any]:
        item = session.review.items[bout.item]
        rate_hz = float(item.meta.get("fps") or 30.0)
        return {
            "item": bout.item,
            "start": bout.start,
            "stop": bout.stop,
            "label": bout.label,
            "probability": round(bout.probability, 3),
            "name": item.name,
            "animal": item.animal,
            "at_s": round(bout.start / rate_hz, 1),
            "length_s": round((bout.stop - bout.start) / rate_hz, 2),
            "verdict": verdict(bout, session.review.ethogram.classes),
        }

    def clip(self, number: int, start: int, stop: int) -> Response:
        session = self.studio.room()
        if number >= len(session.review.items):
            raise RequestError("there is no such recording")
        item = session.review.items[number]
        if item.problem or not 0 <= start < stop <= (item.n_frames or 0):
            raise RequestError("there is no such bout")
        return Response(self.clips().clip(item, start, stop), media_type="image/webp")

    def mark(self, body: dict[str, Any]) -> Response:
        """Label a bout in the rater's history, as the labeling room does."""
        number, start, stop, mark = (_whole(body, name) for name in _EDIT)
        session = self.studio.room()
        corrections = self._corrections(session, number)
        tags = {"id": _tag(body), "by": WALL}
        for _ in range(_TRIES):
            try:
                corrections.edit(corrections.version, [(start, stop, mark)], tags)
                break
            except VersionError:
                continue
        else:
            raise RequestError("the recording is being changed elsewhere; try again")
        return JSONResponse({"version": corrections.version})

    def undo(self, body: dict[str, Any]) -> Response:
        """Take back the last step of a recording, if it is the one that the page has made."""
        number, version = _whole(body, "item"), _whole(body, "version")
        session = self.studio.room()
        corrections = self._corrections(session, number)
        try:
            corrections.undo(version, {"id": _tag(body), "by": WALL})
        except VersionError:
            raise RequestError(
                "the recording was changed since; undo in the labeling room"
            ) from None
        return JSONResponse({"version": corrections.version})

    def _corrections(self, session: Session, number: int) -> Corrections:
        if not 0 <= number < len(session.review.items):
            raise RequestError("there is no such recording")
        return session.corrections(number)


_EDIT = ("item", "start", "stop", "mark")


def routes(studio: Studio) -> list[BaseRoute]:
    wall = Wall(studio)

    async def page(request: Request) -> Response:
        return await run_in_threadpool(wall.page)

    async def bouts(request: Request) -> Response:
        query = request.query_params
        label, order = _number(query.get("label", "0")), query.get("order", ORDERS[0])
        like = None
        if "like" in query:
            places = [_number(part) for part in query["like"].split(",")]
            if len(places) != 3:
                raise RequestError("expected recording, start, stop")
            like = (places[0], places[1], places[2])
        return await run_in_threadpool(wall.bouts, label, order, like)

    async def clip(request: Request) -> Response:
        places = [request.path_params[name] for name in ("number", "start", "stop")]
        return await run_in_threadpool(wall.clip, *places)

    async def mark(request: Request) -> Response:
        return await run_in_threadpool(wall.mark, await _body(request))

    async def undo(request: Request) -> Response:
        return await run_in_threadpool(wall.undo, await _body(request))

    return [
        Route("/wall", page),
        Route("/wall/bouts", bouts),
        Route("/wall/clip/{number:int}/{start:int}/{stop:int}", clip),
        Route("/wall/mark", mark, methods=["POST"]),
        Route("/wall/undo", undo, methods=["POST"]),
    ]


def first_class(session: Session, counts: list[int]) -> int:
    """The class that is shown first: the indicator of pain, else the rarest that was predicted."""
    ethogram = session.review.ethogram
    if ethogram.indicator and counts[ethogram.classes.index(ethogram.indicator)]:
        return ethogram.classes.index(ethogram.indicator)
    there = [number for number, n_bouts in enumerate(counts) if n_bouts]
    return min(there, key=lambda number: counts[number], default=0)


async def _body(request: Request) -> dict[str, Any]:
    content = parse_json(await request.body(), "the request", "send a JSON object")
    if not isinstance(content, dict):
        raise RequestError("expected a JSON object")
    return content


def _whole(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if type(value) is not int:
        raise RequestError(f"expected a whole number for {name}")
    return value


def _tag(body: dict[str, Any]) -> str:
    tag = body.get("id")
    if not isinstance(tag, str) or not 0 < len(tag) <= 40:
        raise RequestError("expected an id of up to 40 characters")
    return tag


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RequestError(f"expected a whole number, found {text}") from None
