"""Spread tasks over this machine or over a Ray cluster, by the same code."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from dolorim.core import workers as local
from dolorim.core.errors import UserError
from dolorim.core.workers import Failed, TaskRunner, Team, usual_workers
from dolorim.terminal import say

T = TypeVar("T")
R = TypeVar("R")
Engine = Literal["local", "ray"]
_ACTOR_CORES = 2


def spread(
    make: Callable[[int], Callable[[T], R]],
    waiting: deque[T],
    workers: int,
    engine: Engine = "local",
    address: str | None = None,
) -> Iterator[tuple[T, R | Failed]]:
    """As `dolorim.core.workers.spread`, on this machine or in a Ray cluster."""
    team = None if engine == "local" else _actors(make, address)
    return local.spread(make, waiting, workers, team)


def _actors(make: Callable[[int], Callable[[T], R]], address: str | None) -> Team:
    ray, options = _cluster(address)

    class Actor:
        """A process that Ray keeps somewhere."""

        def __init__(self, number: int) -> None:
            self._runner = ray.remote(**options)(TaskRunner).remote(make, number)
            self.pending: Any = None

        def give(self, task: Any) -> None:
            self.pending = self._runner.attempt.remote(task)

        def result(self) -> tuple[Any, bool]:
            try:
                return ray.get(self.pending), True
            except ray.exceptions.RayActorError:
                return Failed("its worker process died; is there enough memory?"), False
            except ray.exceptions.RayError as error:
                return Failed(str(error).strip().splitlines()[-1]), True

        def close(self) -> None:
            ray.kill(self._runner)

    def wait(workers: list[Actor]) -> list[Actor]:
        ready, _ = ray.wait([w.pending for w in workers])
        return [w for w in workers if w.pending in ready]

    return Actor, wait


def _cluster(address: str | None) -> tuple[Any, dict[str, float]]:
    """Ray, connected, and what one actor takes: a GPU where there are any, else two cores.

    Raises `UserError` where Ray is not installed, and where there is no cluster at the address.
    """
    if find_spec("ray") is None:
        raise UserError("--engine ray needs Ray; install it with: pip install 'dolorim[ray]'")
    ray: Any = import_module("ray")
    if not ray.is_initialized():
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"no Ray cluster at {address} ({error}); start one with: ray start --head"
            ) from None
    if ray.cluster_resources().get("GPU"):
        return ray, {"num_gpus": 1, "num_cpus": 1}
    # An actor must fit on the smallest machine, or it would wait forever.
    cores = [node["Resources"].get("CPU", 1) for node in _machines(ray)]
    return ray, {"num_cpus": min(_ACTOR_CORES, *cores)}


def _machines(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def how_many(engine: Engine, asked: int, address: str | None) -> int:
    """Workers to use: as many as asked for; with Ray and 0, as many as the cluster has room for."""
    if engine == "local" or asked:
        return max(1, asked)
    ray, options = _cluster(address)
    resources = ray.cluster_resources()
    if "num_gpus" in options:
        room = int(resources["GPU"])
    else:
        room = int(resources["CPU"] // options["num_cpus"])
    say(f"{room} workers on {len(_machines(ray))} machines of the Ray cluster")
    return max(1, room)


def threads_for(engine: Engine, workers: int, address: str | None) -> int | None:
    """Threads of each worker's network; None leaves it to the library."""
    if engine == "ray":
        return int(_cluster(address)[1]["num_cpus"])
    return max(1, usual_workers() // workers) if workers > 1 else None
