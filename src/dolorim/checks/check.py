"""The check of a study before training: recordings in parallel processes, then the whole study."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dolorim.checks.recordings import Examined, Row, check_occupants, examine_together, place
from dolorim.checks.study import ClassCount, check_study, count_classes
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.workers import Failed, spread
from dolorim.dataset.study import Source, open_study, unclaimed_poses
from dolorim.files.recordings import Recorded
from dolorim.terminal import progress
from dolorim.video.cache import Cropping

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
        findings += check_occupants(source, its_files)
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
    examined: dict[Recorded, Examined] = {}
    # All chambers of a video are one task, so that it is decoded once.
    by_file: dict[Path, list[Source]] = defaultdict(list)
    for source in sources:
        by_file[source.file].append(source)
    tasks = deque(tuple(of_one_file) for of_one_file in by_file.values())
    with progress("checking", len(sources)) as bar:
        results = spread(partial(_examiner, config), tasks, min(workers, len(tasks)))
        for task, result in results:
            each = result
            if isinstance(result, Failed):
                each = [_not_checked(source, result) for source in task]
            assert not isinstance(each, Failed)
            examined |= {s.recorded: one for s, one in zip(task, each, strict=True)}
            bar(len(task))
    return [examined[source.recorded] for source in sources]


def _examiner(config: DataConfig, number: int) -> Callable[[tuple[Source, ...]], list[Examined]]:
    return partial(_examine, config)


def _examine(config: DataConfig, sources: tuple[Source, ...]) -> list[Examined]:
    """Examine the recordings in one file."""
    recordings = [Cropping(source.settings(config), source.pose) for source in sources]
    return examine_together(sources[0].video, recordings)


def _not_checked(source: Source, failed: Failed) -> Examined:
    error = UserError(f"cannot be checked: {failed.describe(str(source.file))}", where=source.file)
    return Examined(findings=(Finding.from_error(error, "crash"),))
