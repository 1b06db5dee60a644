"""What `dolorim check` has found about a study, and where in the studio it can be mended."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.structured import read_json
from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Job, Jobs

TITLE = "Check the study"
_ORDER = ("error", "warning", "note")
# The part of the page Study in which a finding is mended, by the finding's name.
_MENDS = {
    "#recordings": (
        *("animals-unknown", "animals-named", "one-animal", "one-id", "two-ids", "few-animals"),
        *(
            "recordings-unreadable",
            "recordings-used",
            "recording-without-video",
            "start",
            "session",
        ),
        *("chamber-without-row", "table-not-used"),
    ),
    "#chambers": (
        *("several-animals", "chamber-outside", "chamber-small", "chambers-overlap"),
        *("chambers-unsure", "chamber-empty"),
    ),
    "#ethogram": ("classes-used", "classes-built-in", "merged", "class-absent"),
    "#reading": (
        *("trial-layout", "label-counting", "label-rate", "bouts-only", "individual", "pose-lag"),
        *("likelihood", "damaged", "video-unreadable"),
    ),
    "/label": ("no-labels", "few-bouts", "unlabelled"),
}
_PLACES = {name: place for place, names in _MENDS.items() for name in names}
_LINKS = {
    "#recordings": "Recordings",
    "#chambers": "Chambers",
    "#ethogram": "Behaviors",
    "#reading": "How files are read",
    "/label": "Label",
}


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one kind: the first one, how many there are, and where they are mended."""

    name: str
    severity: str
    lines: tuple[str, ...]
    place: str  # an address; empty where the studio cannot help
    link: str


@dataclass(frozen=True)
class CheckResult:
    """The newest check; `state` is that of its job, empty if there was none."""

    state: str = ""
    groups: tuple[FindingGroup, ...] = ()
    n_recordings: int = 0
    is_current: bool = False  # the newest job has written it
    problem: str = ""


def check_command(home: StudioHome) -> list[str]:
    """The command whose findings the page shows. Raises `UserError`."""
    flags = ["--videos", str(home.videos_folder), *home.reading_flags()]
    return ["check", str(home.folder), *flags, "--json", str(home.check_file), "--quiet"]


def read_result(home: StudioHome, jobs: Jobs) -> CheckResult:
    """What the newest check has found."""
    job = _newest(jobs)
    state = "" if job is None else str(job.state)
    if not home.check_file.is_file():
        return CheckResult(state)
    try:
        content = read_json(home.check_file)
        findings = [Finding(**finding) for finding in content["findings"]]
        n_recordings = len(content["recordings"])
    except (UserError, TypeError, KeyError) as error:
        return CheckResult(state, problem=f"{home.check_file.name} cannot be read ({error})")
    is_current = job is None or (job.started or 0) <= home.check_file.stat().st_mtime
    return CheckResult(state, grouped(findings, home), n_recordings, is_current)


def grouped(findings: Sequence[Finding], home: StudioHome) -> tuple[FindingGroup, ...]:
    """Findings by their kind, the worst first, with paths as they are in the study."""
    root = f"{home.folder}{os.sep}"
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.severity, finding.name].append(str(finding).replace(root, ""))
    groups = []
    for (severity, name), lines in by_kind.items():
        place = _PLACES.get(name, "")
        groups.append(FindingGroup(name, severity, tuple(lines), place, _LINKS.get(place, "")))
    return tuple(sorted(groups, key=lambda group: _ORDER.index(group.severity)))


def _newest(jobs: Jobs) -> Job | None:
    checks = [job for job in jobs.all() if job.title == TITLE]
    return max(checks, key=lambda job: job.queued, default=None)


def job_values(home: StudioHome) -> dict[str, Any]:
    """The job that checks the study, as keywords of `Jobs.add`."""
    # A study with errors is no failure of the check.
    return {"title": TITLE, "commands": [check_command(home)], "fine": (0, 1, 2)}
