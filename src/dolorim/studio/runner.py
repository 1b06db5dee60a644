"""The process that runs jobs: `python -m dolorim.studio.runner JOBS`.

It runs the oldest waiting job, then replaces itself by a fresh process for the next one, and ends
when nothing waits. It needs no server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from filelock import Timeout

from dolorim.studio.jobs import Job, Jobs
from dolorim.terminal import PROGRESS_FILE

_WAIT_S = 5.0  # for a server that looks whether a runner lives
_BUG = 70  # exit code of a command that ended with a traceback
_NICE = 5


def run_next(folder: Path) -> bool:
    """Run the oldest waiting job; False if none waits or another runner is at work."""
    jobs = Jobs(folder)
    lock = jobs.runner_lock()
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        return False
    try:
        with jobs.changing():
            # No other runner lives, as the lock is ours.
            jobs.note_interrupted()
            job = _start_oldest(jobs)
            if job is None:
                # Given back before the queue is: who adds a job next sees that a runner is due.
                lock.release()
                return False
        codes = _run(jobs, job)
        # The end of the job is written whatever else is asked of this process.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with jobs.changing():
            _finish(jobs, job.id, codes)
        return True
    finally:
        lock.release()


def _start_oldest(jobs: Jobs) -> Job | None:
    waiting = [job for job in jobs.all() if job.state == "queued"]
    if not waiting:
        return None
    oldest = min(waiting, key=lambda job: (job.queued, job.id))
    job = dataclasses.replace(oldest, state="running", pid=os.getpid(), started=time.time())
    jobs.write(job)
    return job


def _finish(jobs: Jobs, number: int, codes: tuple[int, ...]) -> None:
    """Write how a job has ended, unless it was canceled."""
    job = jobs.get(number)
    state = job.state
    if state == "running":
        all_ran = len(codes) == len(job.commands)
        fine = all_ran and all(code in job.fine for code in codes)
        state = "done" if fine else "failed"
    jobs.write(dataclasses.replace(job, state=state, ended=time.time(), exit_codes=codes))
    with contextlib.suppress(OSError):
        jobs.progress_file(job).unlink()


def _run(jobs: Jobs, job: Job) -> tuple[int, ...]:
    """Run the commands of a job until one fails; returns the exit codes of those that ran."""
    codes: list[int] = []
    with contextlib.suppress(KeyboardInterrupt), _printing_to(jobs.log_file(job)):
        os.environ[PROGRESS_FILE] = str(jobs.progress_file(job))
        for command in job.commands:
            print(f"$ dolorim {shlex.join(command)}", flush=True)
            codes.append(_exit_code(command))
            if codes[-1] not in job.fine:
                break
    return tuple(codes)


def _exit_code(command: tuple[str, ...]) -> int:
    # The command line lies above this package, which only starts it, as a terminal does.
    command_line = import_module("dolorim.cli")
    try:
        return int(command_line.main(command))
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 2
    except Exception:  # noqa: BLE001 - a bug in one job must not end the queue
        traceback.print_exc()
        return _BUG


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Everything that this process and its children print goes to the end of a file."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    yield
    sys.stdout.flush()
    sys.stderr.flush()


def _be_nice() -> None:
    """Let the page and the video in it go first."""
    if os.name == "posix":
        # Not `os.nice`, which would add up from one job to the next.
        now = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(now, _NICE))


def main(arguments: list[str]) -> int:
    # The process before this one ignored it while it wrote its last lines.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.name == "posix" and os.getpgrp() != os.getpid():
        os.setsid()  # a job is stopped together with all processes of its group
    _be_nice()
    folder = Path(arguments[0])
    if run_next(folder):
        # A fresh process for the next job: nothing of this one's settings and memory is left.
        os.execv(sys.executable, [sys.executable, "-m", "dolorim.studio.runner", str(folder)])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
