"""`dolorim review`."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from dolorim.cli.common import check_targets, parse
from dolorim.config import DataConfig
from dolorim.core.errors import UserError


@dataclass(frozen=True)
class _Review:
    """Watch, correct and save labels in the browser. Nothing leaves this computer."""

    place: tyro.conf.Positional[Path]
    """Folder of predictions, project folder, or folder of videos."""
    data: DataConfig = field(default_factory=DataConfig)
    predictions: Path | None = None
    """For a project: folder with predictions of its videos."""
    out: Path | None = None
    """Folder for the corrections; review/ in PLACE without it. Each rater gets a folder in it."""
    rater: str | None = None
    """Who is correcting; the user's name without it."""
    blinded: bool = False
    """Hide file names, animals, groups, earlier labels and other raters, and shuffle the recordings."""
    seed: int = 0
    """Draws the queue, and the order of a blinded review."""
    host: str = "127.0.0.1"
    """Address to listen at; with another one than this, other computers can reach the page, if they know the token."""
    port: int | None = None
    """Without it 8719, or any that is free where that is taken."""
    browser: bool = True
    """Open the page in the browser."""


def run(arguments: list[str]) -> int:
    """`dolorim review PLACE`"""
    given = parse(_Review, arguments, "dolorim review")
    check_targets(given)
    try:
        from dolorim.review.server import serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is missing; install it with: pip install 'dolorim[review]'"
        ) from None
    from dolorim.labels.ethogram_file import write_ethogram
    from dolorim.review.contents import open_review
    from dolorim.review.corrections import valid_rater
    from dolorim.review.progress import Progress
    from dolorim.review.session import Session

    rater = valid_rater(given.rater if given.rater is not None else getpass.getuser())
    review = open_review(
        given.place, given.data, predictions=given.predictions, dlc=given.data.dlc, out=given.out,
        shuffle=f"{given.seed} {rater}" if given.blinded else None,
    )  # fmt: skip
    write_ethogram(review.home / "ethogram.toml", review.ethogram)
    desk = Session(review, rater, blinded=given.blinded)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if given.browser and line.startswith("open "):
            import webbrowser

            webbrowser.open(line.removeprefix("open "))

    tell(f"{len(review.items)} recordings; corrections go to {desk.folder}; Ctrl-C stops")
    serve(desk, Progress(desk, given.seed), given.host, given.port, tell)
    return 0
