"""`dolorim review`."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from dolorim.cli.common import check_targets, needing_extra, parse, teller
from dolorim.cli.settings import Settings, settings_flags
from dolorim.config import LABEL_FILES, LABEL_TIMES, STUDY_FILES, Config
from dolorim.presets import with_settings

# The tiles of the labeling room show the crop that the network sees, found in the picture.
_READ = settings_flags(
    *STUDY_FILES,
    *LABEL_FILES,
    *LABEL_TIMES,
    "crop",
    "crop_scale",
    "body_length_px",
    "mask",
    "allow_damaged",
)


@dataclass(frozen=True)
class _Review:
    """Watch, correct and save labels in the browser. Nothing leaves this computer."""

    place: tyro.conf.Positional[Path]
    """Folder of predictions, study folder, or folder of videos."""
    settings: Annotated[Settings, _READ] = field(default_factory=dict)
    predictions: Path | None = None
    """For a study: folder with predictions of its videos."""
    out: Path | None = None
    """Folder for the corrections, with a folder per rater; without it, review/ in PLACE."""
    rater: str | None = None
    """Who is correcting; without it, your user name."""
    blinded: bool = False
    """Hide file names, animals, groups, predictions, earlier labels, and other raters, and shuffle
    the recordings."""
    seed: int = 0
    """Seed of the order in which bouts and blinded recordings are shown."""
    host: str = "127.0.0.1"
    """Address to listen on. With any other address, other computers can open the page, if they know
    the token."""
    port: int | None = None
    """Port to listen on; without it, 8719, or any free port if that is taken."""
    browser: bool = True
    """Open the page in the browser."""


def run(arguments: list[str]) -> int:
    """`dolorim review PLACE`"""
    given = parse(_Review, arguments, "dolorim review")
    check_targets(given)
    with needing_extra("review"):
        from dolorim.review.server import make_app
        from dolorim.review.serving import serve
    from dolorim.labels.ethogram_file import write_ethogram
    from dolorim.review.contents import open_review
    from dolorim.review.corrections import valid_rater
    from dolorim.review.progress import Progress
    from dolorim.review.session import Session

    # The rater's name becomes the name of a folder.
    rater = valid_rater(given.rater if given.rater is not None else getpass.getuser())
    config = with_settings(Config(), given.settings).data
    review = open_review(
        given.place,
        config,
        predictions=given.predictions,
        dlc=config.dlc,
        out=given.out,
        shuffle=f"{given.seed} {rater}" if given.blinded else None,
    )
    # Label files hold numbers of classes, which mean nothing without the ethogram beside them.
    write_ethogram(review.home / "ethogram.toml", review.ethogram)
    session = Session(review, rater, blinded=given.blinded)

    tell = teller(given.browser)
    tell(f"{len(review.items)} recordings; corrections go to {session.folder}; Ctrl-C stops")
    app = make_app(session, Progress(session, given.seed), tell)
    serve(app, given.host, given.port, tell)
    return 0
