"""Jobs of the studio: what is queued runs once, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dolorim import terminal
from dolorim.core.errors import UserError
from dolorim.studio.jobs import Job, Jobs

# Stands for the command line in runners: writes its first argument to a file, waits, and returns.
_COMMANDS = """
import os, time
import dolorim.cli
from dolorim import terminal

def main(arguments):
    name, seconds, code = arguments
    with open(os.environ["RAN"], "a") as file:
        file.write(name + " begins\\n")
    print("says", name, flush=True)
    with terminal.progress("waiting", 10) as bar:
        bar(3)
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            time.sleep(0.01)
    if code == "bug":
        raise ValueError("a bug")
    with open(os.environ["RAN"], "a") as file:
        file.write(name + " ends\\n")
    return int(code)

dolorim.cli.main = main
"""
_LONG = "60"


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_COMMANDS)
    source = Path(terminal.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{source}")
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    return Jobs(tmp_path / "jobs")


def ran(jobs: Jobs) -> list[str]:
    path = jobs.folder.parent / "ran"
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def states(jobs: Jobs) -> list[str]:
    return [job.state for job in jobs.all()]


def begun(jobs: Jobs, name: str) -> Callable[[], bool]:
    return lambda: f"{name} begins" in ran(jobs)


def kill_runner(jobs: Jobs, number: int) -> None:
    pid = jobs.get(number).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not jobs.runner_lives())


def test_jobs_run_one_after_the_other_until_a_command_fails(jobs: Jobs) -> None:
    jobs.add("one", [("a", "0", "0"), ("b", "0", "1")])
    jobs.add("two", [("c", "0", "2"), ("d", "0", "0")])
    jobs.add("three", [("e", "0", "bug")])
    jobs.add("four", [("f", "0", "2")], fine=(0, 1, 2))
    wait_for(lambda: all(job.has_ended for job in jobs.all()))
    assert states(jobs) == ["done", "failed", "failed", "done"]
    assert [job.exit_codes for job in jobs.all()] == [(0, 1), (2,), (70,), (2,)]
    order = ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]
    assert ran(jobs) == [*order, "e begins", "f begins", "f ends"]
    assert "ValueError: a bug" in jobs.log_tail(jobs.get(3))
    assert jobs.log_tail(jobs.get(1)).startswith("$ dolorim a 0 0\nsays a\n")


def test_a_runner_outlives_the_process_that_started_it(jobs: Jobs) -> None:
    program = f"""if True:
        import os
        from pathlib import Path
        from dolorim.studio.jobs import Jobs
        jobs = Jobs(Path({str(jobs.folder)!r}))
        jobs.add("one", [("a", "0.2", "0")])
        jobs.add("two", [("b", "0", "0")])
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    wait_for(lambda: states(jobs) == ["done", "done"])
    assert ran(jobs) == ["a begins", "a ends", "b begins", "b ends"]


def test_a_killed_runner_leaves_its_job_to_be_resumed_and_the_queue_goes_on(jobs: Jobs) -> None:
    jobs.add("long", [("long", _LONG, "0")])
    jobs.add("next", [("next", "0", "0")])
    wait_for(begun(jobs, "long"))
    wait_for(lambda: jobs.progress(jobs.get(1)))
    assert [(bar.what, bar.total) for bar in jobs.progress(jobs.get(1))] == [("waiting", 10)]
    kill_runner(jobs, 1)
    jobs.tend()
    wait_for(lambda: states(jobs) == ["interrupted", "done"])
    assert ran(jobs) == ["long begins", "next begins", "next ends"]
    jobs.resume(1)
    wait_for(lambda: ran(jobs).count("long begins") == 2)
    jobs.cancel(1)
    wait_for(lambda: not jobs.runner_lives())
    assert states(jobs) == ["canceled", "done"]


def test_cancel_stops_a_job_and_the_next_one_runs(jobs: Jobs) -> None:
    for name in ("long", "waits", "next"):
        jobs.add(name, [(name, _LONG if name == "long" else "0", "0")])
    wait_for(begun(jobs, "long"))
    jobs.cancel(2)
    jobs.cancel(1)
    wait_for(lambda: jobs.get(3).state == "done")
    assert states(jobs) == ["canceled", "canceled", "done"]
    assert ran(jobs) == ["long begins", "next begins", "next ends"]
    assert jobs.cancel(3).state == "done"


def test_two_servers_run_a_job_once(jobs: Jobs) -> None:
    other = Jobs(jobs.folder)
    one = jobs.add("one", [("a", "0.3", "0")])
    # The same work is not queued twice.
    assert other.add("one", [("a", "0.3", "0")]).id == one.id
    for server in (jobs, other) * 3:
        server.tend()
    wait_for(lambda: states(jobs) == ["done"])
    assert ran(jobs) == ["a begins", "a ends"]
    # Done, it may be asked for again.
    assert other.add("one", [("a", "0.3", "0")]).id == one.id + 1
    other.cancel(one.id + 1)


def test_a_damaged_file_keeps_its_number_and_stops_nothing(jobs: Jobs) -> None:
    jobs.folder.mkdir()
    for number, text in enumerate(("", "{", '{"id": 7}', "[]"), 1):
        (jobs.folder / f"{number:04}.json").write_text(text)
    job = jobs.add("one", [("a", "0", "0")])
    assert job.id == 5
    wait_for(lambda: jobs.get(5).state == "done")
    assert len(jobs.damaged()) == 4
    with pytest.raises(UserError, match="there is no job 1"):
        jobs.get(1)


def test_progress_is_written_where_a_program_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, job = Jobs(tmp_path), Job(1, "one", ())
    monkeypatch.setenv(terminal.PROGRESS_FILE, str(jobs.progress_file(job)))
    monkeypatch.setattr(terminal, "_written", 0.0)
    monkeypatch.setattr(terminal, "_PERIOD_S", 0.0)
    assert jobs.progress(job) == []
    with terminal.progress("videos", 3) as outer:
        outer(1)
        with terminal.progress("frames", None) as inner:
            inner(50)
            shown = [(bar.what, bar.done, bar.total) for bar in jobs.progress(job)]
            assert shown == [("videos", 1, 3), ("frames", 50, None)]
        outer(1)
        assert [bar.done for bar in jobs.progress(job)] == [2]
