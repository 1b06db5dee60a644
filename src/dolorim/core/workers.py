"""Many tasks, spread over this process or several local ones; the only process pool of the package.

A worker makes what its tasks need once (a network, say) and then does one task after another. If a
worker dies, its task goes to another one. A task that fails is tried a second time and then
reported, even if it met a bug: no task stops the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, Protocol, TypeVar

from dolorim.core.crashes import log_crash, summarize, traceback_of
from dolorim.core.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
_TRIES = 2


@dataclass(frozen=True)
class Failed:
    """Why a task could not be done.

    `stops_all` is set if no other task would fare better, because the worker itself could not be
    made. `trace` is the traceback of an unexpected exception; it is empty if the user can mend the
    problem.
    """

    reason: str
    stops_all: bool = False
    trace: str = ""

    def explain(self, where: str) -> str:
        """Like `describe`, with the task's name in front unless the reason has it already."""
        text = self.describe(where)
        return text if where in self.reason else f"{where}: {text}"

    def describe(self, where: str) -> str:
        """The reason; the traceback of a bug goes to the log file, under the task's name."""
        if not self.trace:
            return self.reason
        return f"{self.reason}; {log_crash(where, self.trace)}"


class TaskRunner(Generic[T, R]):
    """Does tasks. `make` gets the worker's number and makes the function that does them, once."""

    def __init__(self, make: Callable[[int], Callable[[T], R]], number: int) -> None:
        self._make, self._number = make, number
        self._work: Callable[[T], R] | None = None

    def attempt(self, task: T) -> R | Failed:
        """The result of a task, or why there is none; raises nothing."""
        try:
            if self._work is None:
                self._work = self._make(self._number)
        except Exception as error:  # noqa: BLE001 - `spread` raises it where it can be seen
            return failure_of(error, stops_all=True)
        try:
            return self._work(task)
        except Exception as error:  # noqa: BLE001 - no task may stop the others
            return failure_of(error)


def failure_of(error: Exception, stops_all: bool = False) -> Failed:
    """An exception as the reason why a task failed; all but a `UserError` are bugs."""
    if isinstance(error, UserError):
        return Failed(str(error), stops_all)
    return Failed(f"unexpected {summarize(error)}", stops_all, traceback_of(error))


class Worker(Protocol):
    """What `spread` needs of a worker; `result` also says whether the worker can go on."""

    def give(self, task: Any) -> None: ...
    def result(self) -> tuple[Any, bool]: ...
    def close(self) -> None: ...


Team = tuple[Callable[[int], Any], Callable[[list[Any]], list[Any]]]
"""Two functions: one hires the worker of a number, one waits until some workers have a result."""


def spread(
    make: Callable[[int], Callable[[T], R]],
    waiting: deque[T],
    workers: int,
    team: Team | None = None,
) -> Iterator[tuple[T, R | Failed]]:
    """Do all tasks that are waiting, and those added meanwhile; yields results as they are ready.

    Without a `team`, workers are processes of this machine, and a single worker is this process
    itself. `make` and the tasks must be picklable for several workers. Raises `UserError` if a
    worker cannot be made, and `RuntimeError` if making it meets a bug.
    """
    if team is None and workers <= 1:
        yield from _in_this_process(TaskRunner(make, 0), waiting)
        return
    crew = _Crew(waiting, workers, team or _processes(make))
    try:
        while crew.has_work:
            crew.hand_out()
            yield from crew.collect()
    finally:
        crew.close()


class _Crew(Generic[T]):
    """The workers of one `spread`: who is idle, who does which task, and what to try again."""

    def __init__(self, waiting: deque[T], most: int, team: Team) -> None:
        self._waiting, self._most = waiting, most
        self._hire, self._wait = team
        self._retries: deque[T] = deque()
        self._idle: list[Worker] = []
        self._busy: dict[Worker, tuple[T, int]] = {}
        self._hired = 0

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._retries or self._busy)

    def hand_out(self) -> None:
        """Give tasks to workers until there are no more of either; dismiss those without a task."""
        while (self._waiting or self._retries) and (self._idle or len(self._busy) < self._most):
            if not self._idle:
                self._idle.append(self._hire(self._hired))
                self._hired += 1
            worker = self._idle.pop()
            if self._waiting:
                self._busy[worker] = (self._waiting.popleft(), 1)
            else:
                self._busy[worker] = (self._retries.popleft(), _TRIES)
            worker.give(self._busy[worker][0])
        while not self._waiting and not self._retries and self._idle:
            # A worker without a task gives back what it holds: another one may be waiting for it.
            self._idle.pop().close()

    def collect(self) -> Iterator[tuple[T, Any]]:
        """Wait for results, and yield those that stand; a first failure is tried again."""
        for worker in self._wait(list(self._busy)):
            task, attempt = self._busy.pop(worker)
            result, goes_on = worker.result()
            if goes_on:
                self._idle.append(worker)
            else:
                worker.close()
            # The second try may succeed in another process, if the first failure was the process's.
            if isinstance(result, Failed) and not result.stops_all and attempt < _TRIES:
                self._retries.append(task)
            else:
                yield task, _unless_it_stops_all(result)

    def close(self) -> None:
        for worker in [*self._idle, *self._busy]:
            worker.close()


def _in_this_process(runner: TaskRunner[T, R], waiting: deque[T]) -> Iterator[tuple[T, R | Failed]]:
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
    """A worker in a process of this machine."""

    def __init__(self, make: Callable[[int], Callable[[Any], Any]], number: int) -> None:
        # A forked process would inherit threads and locks of torch and OpenMP in any state.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, number), daemon=True)
        with _without_the_script(make):
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


@contextlib.contextmanager
def _without_the_script(make: Callable[[int], Callable[[Any], Any]]) -> Iterator[None]:
    """Keep a new process from running the user's script again.

    A spawned process imports the main module, which a script without `if __name__ == "__main__"`
    does not survive: each worker would start workers of its own. Nothing in the main module is
    needed here, unless `make` is defined in it.
    """
    main = sys.modules["__main__"]
    if b"__main__" in bytes(ForkingPickler.dumps(make)):
        yield
        return
    names = vars(main)
    hidden: dict[str, Any] = {}
    for name in ("__file__", "__spec__"):
        if name in names:
            hidden[name] = names[name]
    try:
        names.pop("__file__", None)
        names["__spec__"] = None
        yield
    finally:
        names.update(hidden)


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its worker process ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    text = f"its worker process was killed ({name})"
    if name == "SIGKILL":
        text += "; the system does that when memory runs out: try fewer workers"
    return text


def _serve(connection: Any, make: Callable[[int], Callable[[Any], Any]], number: int) -> None:
    # Ctrl-C goes to all processes; the one that hands out the tasks handles it and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
        except Exception as error:  # noqa: BLE001 - the result cannot be sent: this task has failed
            connection.send(failure_of(error))


def _processes(make: Callable[[int], Callable[[T], R]]) -> Team:
    def wait(workers: list[_Process]) -> list[_Process]:
        ready = multiprocessing.connection.wait([w.connection for w in workers])
        return [w for w in workers if w.connection in ready]

    return lambda number: _Process(make, number), wait


def usual_workers() -> int:
    """As many processes as there are processors that this one may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
