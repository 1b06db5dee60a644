"""Check a project: its recordings side by side in processes, then what lies between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dolorim.checks.recordings import (
    ClassCount,
    Examined,
    Row,
    check_project,
    count_classes,
    examine,
    place,
)
from dolorim.config import DataConfig
from dolorim.core.findings import Finding
from dolorim.core.workers import Failed, spread
from dolorim.dataset.study import Source, open_study, unclaimed_poses
from dolorim.terminal import progress

_ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class Checked:
    """What `check` says: a row a recording, frames and bouts of each class, and findings, the worst first."""

    rows: tuple[Row, ...]
    counts: dict[str, ClassCount]
    findings: tuple[Finding, ...]

    def status(self, strict: bool = False) -> int:
        """0 fine, 1 warnings, 2 errors; with `strict`, a warning is an error."""
        found = {f.severity for f in self.findings}
        if "error" in found or (strict and "warning" in found):
            return 2
        return int("warning" in found)


def check(config: DataConfig, workers: int = 1) -> Checked:
    """Look at every file of a project. Raises `UserError` where there is no project to look at."""
    project = open_study(config, keep_going=True)
    findings = list(project.findings)
    findings += project.assumptions
    for file in unclaimed_poses(config, project):
        what = "tracks a video that is not there"
        findings.append(
            Finding("warning", str(file), what, "name it <video>DLC_...", "pose-without-video")
        )
    rows = []
    for source, found in zip(
        project.sources, _examine_all(project.sources, config, workers), strict=True
    ):
        findings += found.findings
        row, more = place(source, found, project, config)
        findings += more
        rows.append(row)
    counts = count_classes(rows, project.ethogram)
    findings += check_project(rows, counts, project.ethogram, config)
    labelled = any(count.frames for count in counts.values())
    if labelled and (note := project.ethogram.merging_note()):
        what, _, remedy = note.rpartition("; ")
        findings.append(Finding("note", "classes", what, remedy, "merged"))
    ordered = sorted(dict.fromkeys(findings), key=lambda f: _ORDER.index(f.severity))
    return Checked(tuple(rows), counts, tuple(ordered))


def _examine_all(sources: Sequence[Source], config: DataConfig, workers: int) -> list[Examined]:
    """What the files of each recording hold; one that cannot be looked at is a finding, and the others go on."""
    examined: dict[int, Examined] = {}
    tasks = deque(enumerate(sources))
    with progress("checking", len(sources)) as bar:
        for (i, source), result in spread(
            partial(_examiner, config), tasks, min(workers, len(sources))
        ):
            examined[i] = _not_looked_at(source, result) if isinstance(result, Failed) else result
            bar(1)
    return [examined[i] for i in range(len(sources))]


def _examiner(config: DataConfig, number: int) -> Callable[[tuple[int, Source]], Examined]:
    return partial(_examine, config)


def _examine(config: DataConfig, task: tuple[int, Source]) -> Examined:
    _, source = task
    return examine(source.video, source.pose, config)


def _not_looked_at(source: Source, failed: Failed) -> Examined:
    where = str(source.file)
    what = failed.explain(where).removeprefix(f"{where}: ")
    return Examined(
        findings=(Finding("error", where, f"cannot be looked at: {what}", name="crash"),)
    )
