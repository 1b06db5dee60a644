"""Who may use the review page: only a browser that was given its address.

To open the page, one must know the one-time token that was printed with the address; it is
exchanged for a cookie that only this site gets. The Host header must name this machine; scripts and
styles come only from here.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

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


class Guard:
    """Lets requests through that name this machine and carry the cookie, or the token for it.

    A token works once; `renewed` is called with the next one.
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
        opens_page = request.method == "GET" and scope["path"] == "/"
        # Comparing takes the same time for any text, so that timing tells nothing.
        token, cookie = request.query_params.get("token", ""), request.cookies.get(self._cookie, "")
        token_fits = hmac.compare_digest(token.encode(), self._token.encode())
        cookie_fits = hmac.compare_digest(cookie.encode(), self._session.encode())
        fresh = refusal is None and opens_page and token_fits
        if refusal is None and not fresh and not cookie_fits:
            refusal = PlainTextResponse(
                "This page needs the address with the one-time token that dolorim has printed.\n"
                "A token works once; after that the terminal shows the next one.\n",
                403,
            )
        # Refusals carry the same headers as answers.
        headers = dict(_HEADERS)
        if fresh:
            self._token = secrets.token_urlsafe(24)
            self._renewed(self._token)
            headers["Set-Cookie"] = (
                f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
            )

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                # A page inside another one comes with a policy of its own.
                own = {name for name, _ in given}
                raw = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
                given += [(name, text) for name, text in raw if name not in own]
                message = {**message, "headers": given}
            await send(message)

        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refuse(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_us(host):
            return PlainTextResponse("This host name is not one of this machine.\n", 421)
        if request.method in ("GET", "HEAD"):
            return None
        # A browser names the page that a request comes from; only ours may change anything.
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("Requests from other pages are refused.\n", 403)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return PlainTextResponse("Expected application/json.\n", 415)
        return None

    def _is_us(self, host: str) -> bool:
        name = host.casefold()
        if "]" in name:
            name = name[: name.rindex("]")].strip("[]")  # an IPv6 address, as in [::1]:8719
        else:
            name = name.partition(":")[0]
        # A number cannot be made to point here by somebody else's name server; a name can.
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self._names
