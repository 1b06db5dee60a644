"""The page Findings: the report of predictions, or of people's own labels, made as a job."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.files.subjects import read_subjects
from dolorim.review.changes import read_json_body
from dolorim.studio.home import StudioHome
from dolorim.studio.learning import Round, rounds_of
from dolorim.studio.studio import Studio, text_in
from dolorim.studio.study_page import with_new_job

TITLE = "Report"
_PAGE = "report.html"
_TYPES = {
    ".html": "text/html",
    ".csv": "text/csv",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".py": "text/plain",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".toml": "text/plain",
    ".webp": "image/webp",
}
# The page of a report brings its styles and pictures along, and no scripts.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# This page shows a page of this site inside.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Source:
    """What a report can be made of: a folder of predictions or of label files."""

    key: str
    name: str
    folder: Path
    is_labels: bool = False


def routes(studio: Studio) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        answer = await run_in_threadpool(_page, studio)
        answer.headers["Content-Security-Policy"] = _PAGE_POLICY
        return answer

    async def part(request: Request) -> Response:
        return await run_in_threadpool(_report_part, studio)

    async def make(request: Request) -> Response:
        values = await read_json_body(request)

        def work() -> Response:
            studio.jobs.add(TITLE, [report_command(studio.home, values)])
            return with_new_job(_report_part(studio))

        return await run_in_threadpool(work)

    async def file(request: Request) -> Response:
        return await run_in_threadpool(_file, studio.home, request.path_params["path"])

    return [
        Route("/findings", page),
        Route("/findings/part", part),
        Route("/findings/make", make, methods=["POST"]),
        Route("/findings/report/{path:path}", file),
    ]


def sources_of(home: StudioHome) -> list[Source]:
    """What there is to report, predictions first."""
    sources = []
    for name, folder in home.prediction_sets().items():
        sources.append(Source(f"predictions:{name}", f"predictions of {name}", folder))
    for rater in home.raters():
        folder = home.labels / rater
        if any(folder.glob("*.csv")):
            name = f"labels of {rater}, no model"
            sources.append(Source(f"labels:{rater}", name, folder, is_labels=True))
    if home.annotations is not None:
        name = "labels that the study brings along, no model"
        sources.append(Source("annotations", name, home.annotations, is_labels=True))
    return sources


def report_command(home: StudioHome, values: dict[str, Any]) -> list[str]:
    """The command that makes a report. Raises `UserError` for values that a page never sends."""
    source = _chosen(sources_of(home), text_in(values, "source"))
    data = home.data()
    table = data.recordings
    if table is None or not read_subjects(table).has_group:
        raise UserError("no groups yet", remedy="name the group of each recording (page Study)")
    command = ["report", str(source.folder), "--groups", str(table), "--out", str(home.report)]
    assay = text_in(values, "assay", "whole")
    if assay not in assays():
        raise UserError(f"there is no assay {assay!r}")
    command += ["--assay", assay]
    control = text_in(values, "control")
    if control:
        command += ["--control", control]
    if source.is_labels:
        return [*command, *_label_flags(home, source)]
    # The scores of the run tell how far its labels can be trusted.
    run_name = text_in(values, "run")
    for run in _runs_to_trust(home):
        if run.name == run_name:
            command += ["--run", str(run.path)]
    return command


def _label_flags(home: StudioHome, source: Source) -> list[str]:
    """How label files are read, whose frames have no times of their own."""
    flags = ["--videos", str(home.videos_folder)]
    # The labeling room writes the classes beside its labels.
    classes: Path | None = home.labels / "ethogram.toml"
    if source.key == "annotations":
        classes = home.data().classes
    if classes is not None:
        flags += ["--classes", str(classes)]
    return flags


def assays() -> list[str]:
    """The names of the built-in assays."""
    templates = (files("dolorim.reporting") / "templates").iterdir()
    names = sorted(path.name for path in templates if path.name.endswith(".toml"))
    return [name.removesuffix(".toml") for name in names]


def groups_of(home: StudioHome) -> list[str]:
    """The groups that the table of recordings names, in its order."""
    table = home.data().recordings
    if table is None:
        return []
    # In the order of the table, which is the order that people have in mind.
    groups = [subject.group for subject in read_subjects(table).subjects if subject.group]
    return list(dict.fromkeys(groups))


def _chosen(sources: list[Source], key: str) -> Source:
    for source in sources:
        if source.key == key:
            return source
    raise UserError("there is nothing to report yet", remedy="label or predict first")


def _runs_to_trust(home: StudioHome) -> list[Round]:
    """Runs whose scores a report can go by, newest first."""
    # A round of a quick head learns from all animals, and a report would refuse it.
    return [run for run in reversed(rounds_of(home)) if run.has_held_out]


def _page(studio: Studio) -> Response:
    home = studio.home
    groups: list[str] = []
    problem = ""
    commands: list[list[str]] = []
    sources = sources_of(home)
    runs = _runs_to_trust(home)
    try:
        groups = groups_of(home)
        if groups and sources:
            values = {"source": sources[0].key, "run": runs[0].name if runs else ""}
            commands = [report_command(home, values)]
    except UserError as error:
        problem = str(error)
    return studio.render(
        "findings.html",
        page="Findings",
        sources=sources,
        assays=assays(),
        groups=groups,
        runs=runs,
        problem=problem,
        report=_report_state(studio),
        commands=commands,
    )


def _report_part(studio: Studio) -> Response:
    return studio.render("_report.html", report=_report_state(studio))


def _report_state(studio: Studio) -> dict[str, Any]:
    """The state of the newest report: of its job, and when its page was written."""
    jobs = [job for job in studio.jobs.all() if job.title == TITLE]
    newest = max(jobs, key=lambda job: job.queued, default=None)
    page = studio.home.report / _PAGE
    written = int(page.stat().st_mtime) if page.is_file() else 0
    tables = sorted(path.name for path in studio.home.report.glob("*.csv"))
    tables += sorted(path.name for path in studio.home.report.glob("*.xlsx"))
    return {
        "state": "" if newest is None else str(newest.state),
        "written": written,
        "log": "" if newest is None else studio.jobs.log_tail(newest),
        "tables": tables,
    }


def _file(home: StudioHome, name: str) -> Response:
    """A file of the report; nothing outside of its folder."""
    # Links are followed before the path is compared, so that none leads out.
    root = home.report.resolve()
    path = (root / name).resolve() if "\0" not in name else root
    if not path.is_relative_to(root) or not path.is_file() or path.suffix not in _TYPES:
        return PlainTextResponse("There is no such file.\n", 404)
    headers = {"Content-Security-Policy": _REPORT_POLICY}
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=headers)
