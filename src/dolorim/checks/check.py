"""The check of a study before training: recordings in parallel processes, then the whole study."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dolorim.checks.recordings import Examined, Row, examine, place
from dolorim.checks.study import ClassCount, check_study, count_classes
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.workers import Failed, spread
from dolorim.dataset.study import Source, open_study, unclaimed_poses
from dolorim.terminal import progress

_ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class Checked:
    """What `check` returns: a row per recording, counts per class, and findings, worst first."""

    rows: tuple[Row, ...]
    counts: dict[str, ClassCount]
    findings: tuple[Finding, ...]

    def status(self, strict: bool = False) -> int:
        """The exit code: 0 fine, 1 warnings, 2 errors; with `strict`, warnings are errors."""
        severities = {finding.severity for finding in self.findings}
        if "error" in severities or (strict and "warning" in severities):
            return 2
        return int("warning" in severities)


def check(config: DataConfig, workers: int = 1) -> Checked:
    """Check every file of a study. Raises `UserError` if there is no study to check."""
    study = open_study(config, keep_going=True)
    findings = list(study.findings)
    findings += study.assumptions
    for file in unclaimed_poses(config, study):
        what = "tracks a video that does not exist"
        remedy = "name it <video>DLC_..."
        findings.append(Finding("warning", str(file), what, remedy, "pose-without-video"))
    rows = []
    examined = _examine_all(study.sources, config, workers)
    for source, its_files in zip(study.sources, examined, strict=True):
        findings += its_files.findings
        row, more = place(source, its_files, study, config)
        findings += more
        rows.append(row)
    counts = count_classes(rows, study.ethogram)
    findings += check_study(rows, counts, study.ethogram, config)
    labelled = any(count.frames for count in counts.values())
    merging = study.ethogram.merging_note()
    if labelled and merging:
        findings.append(Finding("note", "classes", merging, name="merged"))
    # Several recordings may share a file, and with it a finding.
    unique = dict.fromkeys(findings)
    ordered = sorted(unique, key=lambda finding: _ORDER.index(finding.severity))
    return Checked(tuple(rows), counts, tuple(ordered))


def _examine_all(sources: Sequence[Source], config: DataConfig, workers: int) -> list[Examined]:
    """What the files of each recording hold, in order; a crash is a finding and stops no other."""
    examined: dict[int, Examined] = {}
    tasks = deque(enumerate(sources))
    with progress("checking", len(sources)) as bar:
        results = spread(partial(_examiner, config), tasks, min(workers, len(sources)))
        for (i, source), result in results:
            if isinstance(result, Failed):
                result = _not_checked(source, result)
            examined[i] = result
            bar(1)
    return [examined[i] for i in range(len(sources))]


def _examiner(config: DataConfig, number: int) -> Callable[[tuple[int, Source]], Examined]:
    return partial(_examine, config)


def _examine(config: DataConfig, task: tuple[int, Source]) -> Examined:
    _, source = task
    return examine(source.video, source.pose, config)


def _not_checked(source: Source, failed: Failed) -> Examined:
    error = UserError(f"cannot be checked: {failed.describe(str(source.file))}", where=source.file)
    return Examined(findings=(Finding.from_error(error, "crash"),))
