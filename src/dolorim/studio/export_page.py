"""The page Export: predictions as files of other tools, written as a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.labels.export import Target
from dolorim.review.changes import read_json_body
from dolorim.studio.home import StudioHome
from dolorim.studio.studio import Studio, text_in
from dolorim.studio.study_page import with_new_job

FORMATS = {
    "boris": "BORIS: one observation per recording",
    "deepethogram": "DeepEthogram: a column per behavior",
    "simba": "SimBA: target columns",
    "bouts": "Bouts: a table with start, end, and duration",
    "nwb": "NWB: for archives (needs the extra nwb)",
}


@dataclass(frozen=True)
class Exported:
    """A folder with exported files."""

    folder: Path
    files: int


def routes(studio: Studio) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        return await run_in_threadpool(_page, studio)

    async def part(request: Request) -> Response:
        return studio.render("_exported.html", exported=exported_of(studio.home))

    async def make(request: Request) -> Response:
        values = await read_json_body(request)

        def work() -> Response:
            command = export_command(studio.home, values)
            studio.jobs.add(f"Export to {values['format']}", [command])
            return with_new_job(studio.render("_exported.html", exported=exported_of(studio.home)))

        return await run_in_threadpool(work)

    return [
        Route("/export", page),
        Route("/export/part", part),
        Route("/export/make", make, methods=["POST"]),
    ]


def export_command(home: StudioHome, values: dict[str, Any]) -> list[str]:
    """The command that exports. Raises `UserError` for values that a page never sends."""
    sets = home.prediction_sets()
    name, target = text_in(values, "set"), text_in(values, "format")
    if target not in get_args(Target):
        raise UserError(f"there is no format {target!r}")
    if name not in sets:
        raise UserError("there are no predictions to export yet", remedy="predict first")
    folder = sets[name]
    out = home.exports / folder.name / target
    command = ["export", str(folder), "--to", target, "--out", str(out)]
    recordings = home.data().recordings
    # Archives ask for sex, age, and the like, which the table may have.
    if target == "nwb" and recordings is not None:
        command += ["--recordings", str(recordings)]
    return command


def exported_of(home: StudioHome) -> list[Exported]:
    """What was exported so far."""
    if not home.exports.is_dir():
        return []
    folders = sorted(folder for folder in home.exports.glob("*/*") if folder.is_dir())
    return [Exported(folder, sum(1 for _ in folder.iterdir())) for folder in folders]


def _page(studio: Studio) -> Response:
    home = studio.home
    sets = list(home.prediction_sets())
    commands: list[list[str]] = []
    problem = ""
    try:
        if sets:
            commands = [export_command(home, {"set": sets[0], "format": "boris"})]
    except UserError as error:
        problem = str(error)
    return studio.render(
        "export.html",
        page="Export",
        sets=sets,
        formats=FORMATS,
        exported=exported_of(home),
        problem=problem,
        commands=commands,
    )
