"""Jobs: commands of dolorim that run in a process of their own, and their files on disk.

The files are the truth. Whoever changes one holds the lock of the queue for that moment, and the
runner (`dolorim.studio.runner`) holds another lock for as long as it lives, so that any server can
tell whether a job still runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from dolorim.core.errors import UserError
from dolorim.files.structured import as_dataclass, read_json
from dolorim.files.tables import write_text

State = Literal["queued", "running", "done", "failed", "canceled", "interrupted"]
ENDED: frozenset[State] = frozenset(("done", "failed", "canceled", "interrupted"))
_NAME = re.compile(r"(\d{4,})\.json")
_QUEUE_TIMEOUT_S = 30.0  # the lock of the queue is held for milliseconds
_GRACE_S = 10.0  # from being asked to stop until being made to
_LOG_TAIL = 4000  # bytes of a log that are shown


@dataclass(frozen=True)
class Job:
    """Commands that run one after the other, as lists of arguments after `dolorim`.

    `fine` are the exit codes after which the next command runs and the job counts as done. Times
    are in seconds since 1970. `pid` is the process that ran the job last.
    """

    id: int
    title: str
    commands: tuple[tuple[str, ...], ...]
    state: State = "queued"
    fine: tuple[int, ...] = (0, 1)
    pid: int | None = None
    queued: float = 0.0
    started: float | None = None
    ended: float | None = None
    exit_codes: tuple[int, ...] = ()

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True)
class Progress:
    """One bar of a running job: `done` of `total` steps of `what`; None for an unknown total."""

    what: str
    done: float
    total: float | None


class Jobs:
    """The jobs in one folder. Every method may be called by several processes at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- reading --

    def all(self) -> list[Job]:
        """All jobs, oldest first. A damaged file is left out (see `damaged`)."""
        jobs = []
        for number in self._numbers():
            job = self._read(number)
            if job is not None:
                jobs.append(job)
        return jobs

    def get(self, number: int) -> Job:
        """Raises `UserError` if there is no such job."""
        job = self._read(number)
        if job is None:
            raise UserError(f"there is no job {number}")
        return job

    def damaged(self) -> list[Path]:
        """Job files that cannot be read; their jobs never run."""
        return [self._file(n) for n in self._numbers() if self._read(n) is None]

    def progress(self, job: Job) -> list[Progress]:
        """The bars of a job, the outermost first; none if it shows none."""
        try:
            rows = json.loads(self.progress_file(job).read_text("utf-8"))
            return [Progress(row["what"], row["done"], row["total"]) for row in rows]
        except (OSError, ValueError, TypeError, KeyError):
            return []  # there is none yet, or it is not ours

    def log_tail(self, job: Job) -> str:
        """The last lines that a job has printed."""
        try:
            with self.log_file(job).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _LOG_TAIL))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        if size > _LOG_TAIL:
            text = text.partition("\n")[2]
        return text

    def log_file(self, job: Job) -> Path:
        return self.folder / f"{job.id:04}.log"

    def progress_file(self, job: Job) -> Path:
        return self.folder / f"{job.id:04}.progress"

    def runner_lives(self) -> bool:
        """Does a runner hold its lock?"""
        lock = self.runner_lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False  # there is no folder yet
        lock.release()
        return False

    # -- changing --

    def add(
        self, title: str, commands: Sequence[Sequence[str]], fine: tuple[int, ...] = (0, 1)
    ) -> Job:
        """Put a job at the end of the queue, and start a runner if there is none.

        A job that waits or runs with the same commands already is returned instead of doubled.
        """
        wanted = tuple(tuple(command) for command in commands)
        with self.changing():
            for job in self.all():
                if job.commands == wanted and not job.has_ended:
                    return job
            number = max(self._numbers(), default=0) + 1
            job = Job(number, title, wanted, fine=fine, queued=time.time())
            self.write(job)
        self.tend()
        return job

    def cancel(self, number: int) -> Job:
        """Take a waiting job out of the queue, or stop a running one."""
        with self.changing():
            job = self.get(number)
            if job.has_ended:
                return job
            was_running = job.state == "running"
            job = dataclasses.replace(job, state="canceled", ended=time.time())
            self.write(job)
            if was_running and self.runner_lives():
                _stop_group(job.pid, gently=True)
        return job

    def resume(self, number: int) -> Job:
        """Put a job that did not finish into the queue again, with the same commands."""
        with self.changing():
            job = self.get(number)
            if job.state not in ("failed", "canceled", "interrupted"):
                return job
            job = dataclasses.replace(
                job, state="queued", queued=time.time(), started=None, ended=None, exit_codes=()
            )
            self.write(job)
        self.tend()
        return job

    def tend(self) -> None:
        """Note which job was interrupted, end what does not stop, start a runner if one is due."""
        if not self.folder.is_dir():
            return
        with self.changing():
            jobs = self.all()
            if self.runner_lives():
                _stop_stubborn(jobs)
                return
            self.note_interrupted()
            if any(job.state == "queued" for job in jobs):
                _start_runner(self.folder)

    def note_interrupted(self) -> None:
        """Jobs that count as running, while no runner lives, were interrupted.

        Call this with the lock of the queue.
        """
        for job in self.all():
            if job.state == "running":
                self.write(dataclasses.replace(job, state="interrupted", ended=time.time()))

    def write(self, job: Job) -> None:
        """Write a job's file, completely or not at all. Call this with the lock of the queue."""
        text = json.dumps(dataclasses.asdict(job), indent=1)
        write_text(self._file(job.id), text + "\n")

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock of the queue."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".queue.lock", timeout=_QUEUE_TIMEOUT_S)
        try:
            with lock:
                yield
        except Timeout:
            raise UserError(
                "another program holds the queue of jobs", where=self.folder, remedy="try again"
            ) from None

    def runner_lock(self) -> FileLock:
        """The lock that a runner holds while it lives."""
        return FileLock(self.folder / ".runner.lock")

    # -- files --

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        matches = [_NAME.fullmatch(path.name) for path in self.folder.iterdir()]
        return sorted(int(match[1]) for match in matches if match)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:04}.json"

    def _read(self, number: int) -> Job | None:
        path = self._file(number)
        try:
            job = as_dataclass(Job, read_json(path), path)
        except UserError:
            return None
        if job.id != number:
            return None
        return job


class Tender(threading.Thread):
    """Looks after the jobs every other second, so that the queue outlives a runner that dies."""

    def __init__(self, jobs: Callable[[], Jobs], period_s: float = 2.0) -> None:
        super().__init__(daemon=True)
        self._jobs, self._period_s = jobs, period_s
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._period_s):
            # A full disk must not end the thread: the next time may go well.
            with contextlib.suppress(UserError, OSError):
                self._jobs().tend()

    def end(self) -> None:
        self._ended.set()


_children: list[subprocess.Popen[bytes]] = []  # runners that this process has started


def _start_runner(folder: Path) -> None:
    """Start a runner that outlives this process. If two are started, one ends at once."""
    # A child that has ended stays in the system's table until it is asked.
    _children[:] = [child for child in _children if child.poll() is None]
    child = subprocess.Popen(
        [sys.executable, "-m", "dolorim.studio.runner", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _children.append(child)


def _stop_stubborn(jobs: Sequence[Job]) -> None:
    """End the process of a canceled job that has not stopped by itself."""
    now = time.time()
    if any(job.state == "running" for job in jobs):
        return  # the process has stopped the canceled job and runs another one
    canceled = [job for job in jobs if job.state == "canceled" and job.ended is not None]
    for job in canceled:
        assert job.ended is not None
        if _GRACE_S < now - job.ended < 2 * _GRACE_S:
            _stop_group(job.pid, gently=False)


def _stop_group(pid: int | None, gently: bool) -> None:
    """Stop a runner and the processes that work for it."""
    if pid is None:
        return
    # The process may have ended by itself since.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(pid, signal.SIGINT if gently else signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
