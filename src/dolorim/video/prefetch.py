"""Work ahead in a thread of its own while the results are being used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], room: int) -> Iterator[T]:
    """Yield the same items, made in a thread that is at most `room` items ahead.

    Exceptions of the thread are raised here.
    """
    # An item travels in a list, so that None can mark the end even if an item is None.
    ready: queue.Queue[list[T] | BaseException | None] = queue.Queue(room)
    stopped = threading.Event()

    def put(message: list[T] | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(message, timeout=0.1)
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
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (message := ready.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield from message
    finally:
        stopped.set()
        thread.join()
