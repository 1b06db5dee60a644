"""`dolorim studio`."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

import tyro

from dolorim.cli.common import needing_extra, parse, teller


@dataclass(frozen=True)
class _Studio:
    """The whole job in the browser: from a folder of videos to a report. Nothing leaves this
    computer."""

    folder: tyro.conf.Positional[Path] = Path()
    """Study folder, or folder of videos; without it, the current folder."""
    rater: str | None = None
    """Who is labeling; without it, your user name."""
    host: str = "127.0.0.1"
    """Address to listen on. With any other address, other computers can open the page, if they know
    the token."""
    port: int | None = None
    """Port to listen on; without it, 8719, or any free port if that is taken."""
    browser: bool = True
    """Open the page in the browser."""


def run(arguments: list[str]) -> int:
    """`dolorim studio [FOLDER]`"""
    given = parse(_Studio, arguments, "dolorim studio")
    with needing_extra("review"):
        from dolorim.review.serving import serve
        from dolorim.studio.server import make_studio_app
    from dolorim.review.corrections import valid_rater
    from dolorim.studio.studio import Studio

    # The rater's name becomes the name of a folder.
    rater = valid_rater(given.rater if given.rater is not None else getpass.getuser())

    tell = teller(given.browser)
    studio = Studio(given.folder, rater, tell)
    tell(f"{studio.home.folder}; Ctrl-C stops the page, and not the jobs")
    serve(make_studio_app(studio), given.host, given.port, tell)
    return 0
