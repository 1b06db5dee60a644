"""Events as JSON lines, on standard output or to whoever connects over TCP."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from types import TracebackType
from typing import Any

from dolorim.core.errors import UserError

_PATIENCE_S = 0.05  # for a client that does not read; then it is left behind


class EventStream:
    """Sends events; without an address, prints them. To be used in a `with` block.

    With `tcp` `HOST:PORT`, any number of clients may connect and get the events from then on.
    Raises `UserError` for an address that cannot be listened on.
    """

    def __init__(self, tcp: str | None = None) -> None:
        self._clients: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = None if tcp is None else _listen(tcp)
        if self._server is not None:
            threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int | None:
        """The port that clients connect to; None where events are printed."""
        return None if self._server is None else int(self._server.getsockname()[1])

    def send(self, event: dict[str, Any]) -> None:
        line = json.dumps(event) + "\n"
        if self._server is None:
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        with self._lock:
            for client in [*self._clients]:
                try:
                    client.sendall(line.encode())
                except OSError:  # gone, or too slow: stimulation must not wait for it
                    self._clients.remove(client)
                    client.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        with self._lock:
            for client in self._clients:
                client.close()

    def _accept(self) -> None:
        assert self._server is not None
        with contextlib.suppress(OSError):  # the server was closed
            while True:
                client, _ = self._server.accept()
                client.settimeout(_PATIENCE_S)
                # Small messages go out at once, and not when a packet is full.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._clients.append(client)


def _listen(tcp: str) -> socket.socket:
    host, _, port = tcp.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise UserError(f"--tcp {tcp}: expected HOST:PORT, such as 127.0.0.1:5555")
    try:
        # Only this computer is listened to, unless an address says otherwise.
        return socket.create_server((host or "127.0.0.1", int(port)))
    except OSError as error:
        raise UserError(f"--tcp {tcp}: cannot be listened on ({error.strerror})") from None
