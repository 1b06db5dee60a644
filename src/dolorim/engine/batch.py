"""Many tasks, spread over this process, several local ones, or a Ray cluster, by the same code.

A worker makes what its tasks need once (a network, say) and then works on one task after another. One that dies takes
nothing along: its task is given to another. A task that fails is tried a second time and then reported.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.connection
import signal
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, Generic, Literal, Protocol, TypeVar

from dolorim.core.errors import UserError
from dolorim.engine.extract import usual_workers
from dolorim.engine.talk import be_quiet, say

T = TypeVar("T")
R = TypeVar("R")
Engine = Literal["local", "ray"]
_TRIES = 2
_ACTOR_CORES = 2


@dataclass(frozen=True)
class Failed:
    """Why a task could not be done; `hopeless` where no other would fare better."""

    reason: str
    hopeless: bool = False


class Desk(Generic[T, R]):
    """Where tasks are worked on. `make` is given the desk's number and makes what works on them."""

    def __init__(self, make: Callable[[int], Callable[[T], R]], number: int) -> None:
        self._make, self._number = make, number
        self._work: Callable[[T], R] | None = None

    def attempt(self, task: T) -> R | Failed:
        try:
            if self._work is None:
                self._work = self._make(self._number)
        except UserError as error:
            return Failed(str(error), hopeless=True)
        try:
            return self._work(task)
        except UserError as error:
            return Failed(str(error))


class Worker(Protocol):
    """What `spread` needs of a worker; `result` also says whether it can go on."""

    def give(self, task: Any) -> None: ...
    def result(self) -> tuple[Any, bool]: ...
    def close(self) -> None: ...


_Team = tuple[Callable[[int], Any], Callable[[list[Any]], list[Any]]]
"""What hires a worker of that number, and what waits until some of several have a result."""


def spread(
    make: Callable[[int], Callable[[T], R]],
    waiting: deque[T],
    workers: int,
    engine: Engine = "local",
    address: str | None = None,
) -> Iterator[tuple[T, R | Failed]]:
    """Work on all that is waiting, and on what is put there meanwhile; results come as they are ready.

    One local worker is this process itself. Raises `UserError` where workers cannot be made.
    """
    if engine == "local" and workers <= 1:
        desk = Desk(make, 0)
        while waiting:
            task = waiting.popleft()
            found = desk.attempt(task)
            if isinstance(found, Failed) and not found.hopeless:
                found = desk.attempt(task)
            yield task, _unless_hopeless(found)
        return
    new, wait = _processes(make) if engine == "local" else _actors(make, address)
    tries: deque[tuple[T, int]] = deque()
    idle: list[Worker] = []
    busy: dict[Worker, tuple[T, int]] = {}
    made = 0
    try:
        while waiting or tries or busy:
            while (waiting or tries) and (idle or len(busy) < workers):
                if not idle:
                    idle.append(new(made))
                    made += 1
                worker = idle.pop()
                busy[worker] = (waiting.popleft(), 1) if waiting else tries.popleft()
                worker.give(busy[worker][0])
            while not waiting and not tries and idle:
                idle.pop().close()  # what it holds may be what another one is waiting for
            for worker in wait(list(busy)):
                task, number = busy.pop(worker)
                found, goes_on = worker.result()
                if goes_on:
                    idle.append(worker)
                else:
                    worker.close()
                if isinstance(found, Failed) and not found.hopeless and number < _TRIES:
                    tries.append((task, number + 1))
                else:
                    yield task, _unless_hopeless(found)
    finally:
        for worker in [*idle, *busy]:
            worker.close()


def _unless_hopeless(found: R | Failed) -> R | Failed:
    if isinstance(found, Failed) and found.hopeless:
        raise UserError(found.reason)
    return found


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
            return Failed(f"its worker died (exit code {self._process.exitcode}); is there enough memory?"), False

    def close(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _serve(connection: Any, make: Callable[[int], Callable[[Any], Any]], number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever gives the tasks hears it, and ends this process
    be_quiet(True)
    desk = Desk(make, number)
    while True:
        try:
            connection.send(desk.attempt(connection.recv()))
        except (EOFError, OSError):
            return


def _processes(
    make: Callable[[int], Callable[[T], R]],
) -> tuple[Callable[[int], Any], Callable[[list[Any]], list[Any]]]:
    def wait(workers: list[_Process]) -> list[_Process]:
        ready = multiprocessing.connection.wait([w.connection for w in workers])
        return [w for w in workers if w.connection in ready]

    return lambda number: _Process(make, number), wait


def _actors(make: Callable[[int], Callable[[T], R]], address: str | None) -> _Team:
    ray, options = _cluster(address)

    class Actor:
        """A process that Ray keeps somewhere."""

        def __init__(self, number: int) -> None:
            self._desk = ray.remote(**options)(Desk).remote(make, number)
            self.pending: Any = None

        def give(self, task: Any) -> None:
            self.pending = self._desk.attempt.remote(task)

        def result(self) -> tuple[Any, bool]:
            try:
                return ray.get(self.pending), True
            except ray.exceptions.RayActorError:
                return Failed("its worker died; is there enough memory?"), False
            except ray.exceptions.RayError as error:
                return Failed(str(error).strip().splitlines()[-1]), True

        def close(self) -> None:
            ray.kill(self._desk)

    def wait(workers: list[Actor]) -> list[Actor]:
        ready, _ = ray.wait([w.pending for w in workers])
        return [w for w in workers if w.pending in ready]

    return Actor, wait


def _cluster(address: str | None) -> tuple[Any, dict[str, float]]:
    """Ray, connected, and what one actor takes: a GPU where there are any, else two cores."""
    if find_spec("ray") is None:
        raise UserError("--engine ray needs Ray; install it with: pip install 'dolorim[ray]'")
    ray: Any = import_module("ray")
    if not ray.is_initialized():
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"no Ray cluster at {address} ({error}); start one with: ray start --head") from None
    there = ray.cluster_resources()
    if there.get("GPU"):
        return ray, {"num_gpus": 1, "num_cpus": 1}
    return ray, {"num_cpus": min(_ACTOR_CORES, min(n["Resources"].get("CPU", 1) for n in ray.nodes() if n["Alive"]))}


def how_many(engine: Engine, asked: int, address: str | None) -> int:
    """Workers to use: as many as asked for; with Ray and 0, as many as the cluster has room for."""
    if engine == "local" or asked:
        return max(1, asked)
    ray, options = _cluster(address)
    there = ray.cluster_resources()
    room = int(there["GPU"] if "num_gpus" in options else there["CPU"] // options["num_cpus"])
    say(f"{room} workers on {len([n for n in ray.nodes() if n['Alive']])} machines of the Ray cluster")
    return max(1, room)


def threads_for(engine: Engine, workers: int, address: str | None) -> int | None:
    """Threads of each worker's network; None leaves it to the library."""
    if engine == "ray":
        return int(_cluster(address)[1]["num_cpus"])
    return max(1, usual_workers() // workers) if workers > 1 else None
