"""Check a project: its recordings side by side in processes, then what lies between them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from dolorim.config import DataConfig
from dolorim.core.findings import Finding
from dolorim.data.check import ClassCount, Examined, Row, check_project, count_classes, examine, place
from dolorim.engine.talk import progress
from dolorim.formats.project import Source, open_project, unclaimed_poses

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
    project = open_project(config, keep_going=True)
    findings = list(project.findings)
    for file in unclaimed_poses(config, project):
        what = "tracks a video that is not there"
        findings.append(Finding("warning", str(file), what, "name it <video>DLC_...", "pose-without-video"))
    rows = []
    for source, found in zip(project.sources, _examine_all(project.sources, config, workers), strict=True):
        findings += found.findings
        row, more = place(source, found, project, config)
        findings += more
        rows.append(row)
    counts = count_classes(rows, project.ethogram)
    findings += check_project(rows, counts)
    labelled = any(count.frames for count in counts.values())
    if labelled and (note := project.ethogram.merging_note()):
        what, _, remedy = note.rpartition("; ")
        findings.append(Finding("note", "classes", what, remedy, "merged"))
    ordered = sorted(dict.fromkeys(findings), key=lambda f: _ORDER.index(f.severity))
    return Checked(tuple(rows), counts, tuple(ordered))


def _examine_all(sources: Sequence[Source], config: DataConfig, workers: int) -> list[Examined]:
    workers = min(workers, len(sources))
    one = workers <= 1
    pool = ThreadPoolExecutor(1) if one else ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with pool, progress("checking", len(sources)) as bar:
        jobs = [pool.submit(examine, s.video, s.pose, config) for s in sources]
        try:
            for _ in as_completed(jobs):
                bar(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [_result(job, source) for job, source in zip(jobs, sources, strict=True)]


def _result(job: Future[Examined], source: Source) -> Examined:
    """What a job found; a file that breaks the program itself is named, and the others go on."""
    error = job.exception()
    if error is None:
        return job.result()
    what = f"cannot be looked at ({type(error).__name__}: {error}); please report this"
    return Examined(findings=(Finding("error", str(source.file), " ".join(what.split()), name="crash"),))
