"""Serves a page to browsers of this computer, or of others that know the token."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from dolorim.core.errors import UserError
from dolorim.review.guard import Guard

USUAL_PORT = 8719


def serve(app: ASGIApp, host: str, port: int | None, tell: Callable[[str], object]) -> None:
    """Serve until Ctrl-C.

    `tell` is called with the lines that a user must see; the first one has the address. Without a
    port, the usual one is taken, so that a tab that is still open finds the server again; if that
    is in use, any other. Raises `UserError` if the address cannot be used.
    """
    family = socket.AF_INET
    if ":" in host:
        family = socket.AF_INET6
    with socket.socket(family) as listener:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(listener, host, port)
        port = listener.getsockname()[1]
        site = f"http://{_host_to_open(host)}:{port}"
        token = secrets.token_urlsafe(24)
        tell(f"open {site}/?token={token}")

        def renewed(new: str) -> None:
            tell(f"another browser: {site}/?token={new}")

        # Everything passes the guard first, static files too.
        guard = Guard(app, host, port, token, renewed)
        config = uvicorn.Config(
            guard, log_level="error", access_log=False, server_header=False, lifespan="on"
        )
        uvicorn.Server(config).run(sockets=[listener])


def _bind(listener: socket.socket, host: str, port: int | None) -> None:
    where, first_choice = f"--host {host}", USUAL_PORT
    if port is not None:
        where, first_choice = f"{where} --port {port}", port
    try:
        try:
            listener.bind((host, first_choice))
            listener.listen()
        except OSError:
            if port is not None:
                raise
            listener.bind((host, 0))
    except OSError as error:
        raise UserError(f"{where}: cannot be used ({error.strerror}); choose another") from None


def _host_to_open(host: str) -> str:
    """The host for the address of the page; one that stands for all addresses cannot be opened."""
    if host == "0.0.0.0":
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    if ":" in host:
        return f"[{host}]"
    return host
