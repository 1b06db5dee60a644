"""Kill the studio's server, runner, and page at random moments: is anything lost or doubled?

A page labels a recording of a real server, step by step, and starts jobs; a random one of the
three is killed (SIGKILL) again and again. What was not answered is sent again, as the page does
that is opened next, and what was interrupted is resumed. In the end each step must be in the
history once, the label file must say what was labeled, and each job must be done, having started
once and once more per resume.

    python -m benchmarks.studio_kills --work /tmp/kills [--kills 50] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.common import RESULTS, machine
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.label_files import read_labels
from dolorim.review.history import read_history
from dolorim.simulate.study import StudyPlan, simulate_study
from dolorim.studio.jobs import Jobs

CLASSES = 6
PATIENCE_S = 300
PAUSE_S = 4.0  # at most, between two kills


@dataclass
class Server:
    """A server that can be killed and started again."""

    study: Path
    process: subprocess.Popen[str]
    client: httpx.Client

    @classmethod
    def start(cls, study: Path) -> Server:
        command = [sys.executable, "-m", "dolorim", "studio", str(study), "--no_browser"]
        process = subprocess.Popen(
            [*command, "--rater", "ann"], stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("open "):
                address = line.split()[1]
                break
        client = httpx.Client(base_url=address.partition("/?")[0], timeout=PATIENCE_S)
        while True:
            with contextlib.suppress(httpx.TransportError):
                assert client.get(address).status_code == 200
                return cls(study, process, client)
            time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.client.close()


@dataclass
class Page:
    """What a page holds: steps that no server has answered yet, and what it believes is labeled."""

    n_frames: int
    version: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    labels: np.ndarray = field(default_factory=lambda: np.empty(0))

    def label(self, random_numbers: random.Random) -> None:
        start = random_numbers.randrange(self.n_frames - 1)
        stop = random_numbers.randrange(start + 1, min(start + 60, self.n_frames) + 1)
        mark = random_numbers.randrange(CLASSES)
        # A range that is labeled so already would be no step.
        if (self.labels[start:stop] == mark).all():
            return
        self.labels[start:stop] = mark
        step = {"what": "edit", "ranges": [[start, stop, mark]], "id": uuid.uuid4().hex}
        self.waiting.append(step)
        self.sent.append(step["id"])

    def send(self, client: httpx.Client, timeout_s: float = PATIENCE_S) -> None:
        """Send all that waits; it goes on waiting if there is no answer."""
        if not self.waiting:
            return
        steps = list(self.waiting)
        with contextlib.suppress(httpx.TransportError):
            answer = client.post(
                "/api/recording/0/steps",
                json={"version": self.version, "steps": steps},
                timeout=timeout_s,
            )
            assert answer.status_code == 200, answer.text
            self.version = answer.json()["version"]
            self.waiting = self.waiting[len(steps) :]


def kill_runner(jobs: Jobs) -> bool:
    for job in jobs.all():
        if job.state == "running" and job.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGKILL)
                return True
    return False


def run(work: Path, kills: int, seed: int) -> dict[str, Any]:
    study = work / "study"
    simulate_study(study, StudyPlan(animals=2, trials=1, trial_length=120, size_px=160))
    (study / "Annotations").rename(work / "Annotations")
    videos = sorted((study / "Videos").iterdir())
    numbers = random.Random(seed)
    server, jobs = Server.start(study), Jobs(study / "dolorim" / "jobs")
    n_frames = server.client.get("/api/recording/0").json()["n_frames"]
    page = Page(n_frames, labels=np.full(n_frames, -1))
    counts = {"server": 0, "runner": 0, "page": 0}
    resumes = 0
    while sum(counts.values()) < kills:
        until = time.monotonic() + numbers.uniform(0, PAUSE_S)
        while time.monotonic() < until:
            page.label(numbers)
            page.send(server.client)
            if sum(not job.has_ended for job in jobs.all()) < 2:
                name = f"job {len(jobs.all()) + 1}"
                jobs.add(name, [("inspect", str(videos[0]))])
        victim = numbers.choice(["server", "runner", "page"])
        if victim == "runner" and not kill_runner(jobs):
            continue
        page.label(numbers)
        if victim == "page":
            # The request is cut off anywhere, also before or after the server has written it.
            page.send(server.client, timeout_s=numbers.uniform(0.0001, 0.02))
        if victim == "server":
            server.kill()
            page.send(server.client if not server.client.is_closed else httpx.Client())
            server = Server.start(study)
        counts[victim] += 1
        for job in jobs.all():
            if job.state == "interrupted":
                jobs.resume(job.id)
                resumes += 1
    while page.waiting:
        page.send(server.client)
    end = time.monotonic() + PATIENCE_S
    while not all(job.state == "done" for job in jobs.all()):
        assert time.monotonic() < end, [job.state for job in jobs.all()]
        for job in jobs.all():
            if job.state == "interrupted":
                jobs.resume(job.id)
                resumes += 1
        time.sleep(0.2)
    server.client.post("/api/save", json={})
    server.kill()
    return {"kills": counts, "resumes": resumes} | judge(study, page, jobs, videos[0].stem, resumes)


def judge(study: Path, page: Page, jobs: Jobs, name: str, resumes: int) -> dict[str, Any]:
    """Count what was lost and what was doubled."""
    labels = study / "dolorim" / "labels"
    steps, _ = read_history(labels / "ann" / f"{name}.history.jsonl")
    ids = [step["id"] for step in steps if "id" in step]
    ethogram = read_ethogram(labels / "ethogram.toml")
    written = read_labels(labels / "ann" / f"{name}.csv", ethogram).labels
    starts = 0
    for job in jobs.all():
        starts += jobs.log_file(job).read_text().count("$ dolorim inspect")
    return {
        "steps": len(page.sent),
        "steps_lost": len(set(page.sent) - set(ids)),
        "steps_doubled": len(ids) - len(set(ids)),
        "frames_wrong": int((written != page.labels).sum()),
        "jobs": len(jobs.all()),
        "jobs_lost": sum(job.state != "done" for job in jobs.all()),
        # A runner may be killed after it has taken a job and before it has begun.
        "starts": starts,
        "starts_too_many": max(0, starts - len(jobs.all()) - resumes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    outcome = run(given.work, given.kills, given.seed)
    outcome |= {"seconds": round(time.monotonic() - began), "machine": machine()}
    outcome["command"] = f"python -m benchmarks.studio_kills --kills {given.kills}"
    outcome["date"] = time.strftime("%Y-%m-%d")
    print(json.dumps(outcome, indent=1))
    (RESULTS / "studio_kills.json").write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
