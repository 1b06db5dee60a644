"""Many tasks, spread over this process or several local ones; the only process pool of the package.

A worker makes what its tasks need once (a network, say) and then works on one task after another. One that dies takes
nothing along: its task is given to another. A task that fails is tried a second time and then reported, and so is one
that meets a bug: no task stops the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, Protocol, TypeVar

from dolorim.core.crashes import log_crash, summarize, traceback_of
from dolorim.core.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
_TRIES = 2


@dataclass(frozen=True)
class Failed:
    """Why a task could not be done.

    `stops_all` where no other task would fare better: the worker itself could not be made. `trace` is the traceback of
    an exception that nobody expected, empty where the reason is something that the user can mend.
    """

    reason: str
    stops_all: bool = False
    trace: str = ""

    def explain(self, where: str) -> str:
        """The reason with the task's name in it; the traceback of a bug goes to the log file."""
        text = self.reason if where in self.reason else f"{where}: {self.reason}"
        return f"{text}; {log_crash(where, self.trace)}" if self.trace else text


class TaskRunner(Generic[T, R]):
    """Works on tasks. `make` is given the worker's number and makes the function that does it, once."""

    def __init__(self, make: Callable[[int], Callable[[T], R]], number: int) -> None:
        self._make, self._number = make, number
        self._work: Callable[[T], R] | None = None

    def attempt(self, task: T) -> R | Failed:
        try:
            if self._work is None:
                self._work = self._make(self._number)
        except Exception as error:  # noqa: BLE001 - `spread` raises it where it can be seen
            return failure_of(error, stops_all=True)
        try:
            return self._work(task)
        except Exception as error:  # noqa: BLE001 - whatever one task raises must not stop the others
            return failure_of(error)


def failure_of(error: Exception, stops_all: bool = False) -> Failed:
    """An exception as the reason why a task failed; only a `UserError` is something that was to be expected."""
    if isinstance(error, UserError):
        return Failed(str(error), stops_all)
    return Failed(f"unexpected {summarize(error)}", stops_all, traceback_of(error))


class Worker(Protocol):
    """What `spread` needs of a worker; `result` also says whether it can go on."""

    def give(self, task: Any) -> None: ...
    def result(self) -> tuple[Any, bool]: ...
    def close(self) -> None: ...


Team = tuple[Callable[[int], Any], Callable[[list[Any]], list[Any]]]
"""What hires a worker of that number, and what waits until some of several have a result."""


def spread(
    make: Callable[[int], Callable[[T], R]],
    waiting: deque[T],
    workers: int,
    team: Team | None = None,
) -> Iterator[tuple[T, R | Failed]]:
    """Work on all that is waiting, and on what is put there meanwhile; results come as they are ready.

    Without a `team` the workers are processes of this machine, and a single one is this process itself. `make` and the
    tasks must be picklable for several. Raises `UserError` where a worker cannot be made, and `RuntimeError` where
    making it meets a bug.
    """
    if team is None and workers <= 1:
        yield from _here(TaskRunner(make, 0), waiting)
        return
    hire, wait = team or _processes(make)
    retries: deque[T] = deque()
    idle: list[Worker] = []
    busy: dict[Worker, tuple[T, int]] = {}
    hired = 0
    try:
        while waiting or retries or busy:
            while (waiting or retries) and (idle or len(busy) < workers):
                if not idle:
                    idle.append(hire(hired))
                    hired += 1
                worker = idle.pop()
                busy[worker] = (waiting.popleft(), 1) if waiting else (retries.popleft(), _TRIES)
                worker.give(busy[worker][0])
            while not waiting and not retries and idle:
                idle.pop().close()  # what it holds may be what another one is waiting for
            for worker in wait(list(busy)):
                task, attempt = busy.pop(worker)
                result, goes_on = worker.result()
                if goes_on:
                    idle.append(worker)
                else:
                    worker.close()
                if isinstance(result, Failed) and not result.stops_all and attempt < _TRIES:
                    retries.append(task)
                else:
                    yield task, _unless_it_stops_all(result)
    finally:
        for worker in [*idle, *busy]:
            worker.close()


def _here(runner: TaskRunner[T, R], waiting: deque[T]) -> Iterator[tuple[T, R | Failed]]:
    while waiting:
        task = waiting.popleft()
        result = runner.attempt(task)
        if isinstance(result, Failed) and not result.stops_all:
            result = runner.attempt(task)
        yield task, _unless_it_stops_all(result)


def _unless_it_stops_all(result: R | Failed) -> R | Failed:
    if isinstance(result, Failed) and result.stops_all:
        if result.trace:
            raise RuntimeError(f"no worker could be made\n{result.trace}")
        raise UserError(result.reason)
    return result


class _Process:
    """A process on this machine."""

    def __init__(self, make: Callable[[int], Callable[[Any], Any]], number: int) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, number), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, task: Any) -> None:
        with contextlib.suppress(OSError):  # it has died; `result` will say so
            self.connection.send(task)

    def result(self) -> tuple[Any, bool]:
        try:
            return self.connection.recv(), True
        except (EOFError, OSError):
            self._process.join()
            return Failed(_how_it_ended(self._process.exitcode)), False

    def close(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its worker process ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = (
        "; the system does that when memory runs out: try fewer workers"
        if name == "SIGKILL"
        else ""
    )
    return f"its worker process was killed ({name}){hint}"


def _serve(connection: Any, make: Callable[[int], Callable[[Any], Any]], number: int) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # whoever gives the tasks hears it, and ends this process
    runner = TaskRunner(make, number)
    while True:
        try:
            result = runner.attempt(connection.recv())
        except (EOFError, OSError):
            return
        try:
            connection.send(result)
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - a result that cannot be sent is that task's own trouble
            connection.send(failure_of(error))


def _processes(make: Callable[[int], Callable[[T], R]]) -> Team:
    def wait(workers: list[_Process]) -> list[_Process]:
        ready = multiprocessing.connection.wait([w.connection for w in workers])
        return [w for w in workers if w.connection in ready]

    return lambda number: _Process(make, number), wait


def usual_workers() -> int:
    """As many processes as there are processors that this one may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
