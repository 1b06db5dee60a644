"""Work that is done ahead in a thread of its own, while what it gives is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], room: int) -> Iterator[T]:
    """The same items, made in a thread that is at most `room` of them ahead. What it raises is raised here."""
    ready: queue.Queue[list[T] | BaseException | None] = queue.Queue(room)
    stopped = threading.Event()

    def put(one: list[T] | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(one, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put([item]):
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the items are used
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (one := ready.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield from one
    finally:
        stopped.set()
        thread.join()
