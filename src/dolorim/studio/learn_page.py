"""The page Learn: rounds of learning, what they are worth, and whether more labels would help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.studio.charts import Chart, line_chart
from dolorim.studio.learning import (
    QUICK,
    label_curve_of,
    label_flags,
    learn_commands,
    newest_round,
    progress_text,
    rounds_of,
    training_curves,
)
from dolorim.studio.studio import Studio

_CURVES = {"train/loss_epoch": "Loss", "val/macro_f1": "F1 on validation animals"}


def routes(studio: Studio) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        return await run_in_threadpool(_page, studio, "learn.html")

    async def rounds(request: Request) -> Response:
        return await run_in_threadpool(_page, studio, "_rounds.html")

    async def training(request: Request) -> Response:
        return await run_in_threadpool(_training, studio)

    async def quick(request: Request) -> Response:
        return await run_in_threadpool(_learn, studio, QUICK)

    async def network(request: Request) -> Response:
        return await run_in_threadpool(_learn, studio, "network")

    async def curve(request: Request) -> Response:
        return await run_in_threadpool(_curve, studio)

    return [
        Route("/learn", page),
        Route("/learn/rounds", rounds),
        Route("/learn/training", training),
        Route("/learn/quick", quick, methods=["POST"]),
        Route("/learn/network", network, methods=["POST"]),
        Route("/learn/curve", curve, methods=["POST"]),
    ]


def _page(studio: Studio, template: str) -> Response:
    home, rater = studio.home, studio.rater
    rounds = rounds_of(home)
    curve = label_curve_of(rounds[-1].path) if rounds else None
    problem, commands = "", []
    try:
        if home.videos() and label_flags(home, rater):
            commands = learn_commands(home, rater, home.next_run())
    except UserError as error:
        problem = str(error)
    return studio.render(
        template,
        page="Learn",
        commands=commands,
        problem=problem,
        can_learn=bool(commands),
        rounds=[*reversed(rounds)],
        progress=progress_text(rounds),
        curve=curve,
        curve_chart=None if curve is None else _curve_chart(curve),
    )


def _curve_chart(curve: dict[str, Any]) -> Chart:
    points = [(float(p["bouts"]), float(p["macro_f1"])) for p in curve["points"]]
    known = [p for p in curve["points"] if p["interval"]]
    intervals = [(float(p["bouts"]), *p["interval"]) for p in known]
    return line_chart("F1 by labeled bouts", points, top=1.0, intervals=intervals)


def _training(studio: Studio) -> Response:
    """The curves of the newest run of a network, which may still train."""
    networks = [run for run in studio.home.all_runs() if (run / "logs").is_dir()]
    charts: list[Chart] = []
    name = ""
    if networks:
        name = networks[-1].name
        charts = _charts(networks[-1])
    return studio.render("_training.html", charts=charts, name=name)


def _charts(run: Path) -> list[Chart]:
    curves = training_curves(run)
    charts = []
    for tag, title in _CURVES.items():
        if tag in curves:
            top = 1.0 if tag.startswith("val/") else None
            charts.append(line_chart(title, curves[tag], top=top))
    return charts


def _learn(studio: Studio, head: str) -> Response:
    """Queue a round. Raises `UserError` where there is nothing to learn from."""
    home = studio.home
    studio.room().save()  # label files lag behind the histories for a moment
    if not label_flags(home, studio.rater):
        raise UserError("nothing is labeled yet", remedy="label some bouts in the labeling room")
    run = home.next_run()
    title = f"Learn, round {run.name}" if head == QUICK else f"Train the network, run {run.name}"
    studio.jobs.add(title, learn_commands(home, studio.rater, run, head))
    return _page(studio, "_rounds.html")


def _curve(studio: Studio) -> Response:
    newest = newest_round(studio.home)
    if newest is None:
        raise UserError("nothing was learned yet", remedy="learn first")
    studio.jobs.add("Would labeling more help?", [("evaluate", str(newest.path), "--curve")])
    return _page(studio, "_rounds.html")
