"""The page Learn."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dolorim.studio.studio import Studio


def routes(studio: Studio) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        return studio.render("learn.html", page="Learn")

    return [Route("/learn", page)]
