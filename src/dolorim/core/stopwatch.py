"""Where the time of a long task goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Stopwatch(dict[str, float]):
    """Seconds per activity. Parallel activities overlap, so their sum has no meaning."""

    def add(self, activity: str, spent_s: float) -> None:
        self[activity] = self.get(activity, 0.0) + spent_s

    def add_all(self, other: Stopwatch) -> None:
        """Add the time of another stopwatch, activity by activity."""
        for activity, spent_s in other.items():
            self.add(activity, spent_s)

    @contextmanager
    def on(self, activity: str) -> Iterator[None]:
        """Count the time spent in a `with` block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(activity, time.perf_counter() - started)

    def each(self, activity: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the same items and count the time spent waiting for each of them."""
        source, end = iter(items), object()
        while True:
            with self.on(activity):
                item: Any = next(source, end)
            if item is end:
                return
            yield item
