"""A study to review: videos whose frames show their own number, and predictions that anybody can
work out."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn
from starlette.types import ASGIApp

from dolorim.config import DataConfig
from dolorim.labels.ethogram import PAIN
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.write_dlc import write_dlc
from dolorim.review.contents import Review, open_review
from dolorim.review.guard import Guard
from dolorim.review.progress import Progress
from dolorim.review.server import make_app
from dolorim.review.session import Session
from dolorim.video.cache import fingerprint
from videos import numbered, write_film

N = 120
BOUT = 20  # frames of each predicted bout: class 0, 1, 2, ... in turn
TIMES_MS = np.cumsum(np.random.default_rng(0).integers(10, 90, N)).tolist()


def predict(folder: Path, video: Path, n: int = N, bout: int = BOUT, shift: int = 0) -> None:
    labels = ((np.arange(n) // bout + shift) % len(PAIN)).astype(np.int16)
    probabilities = np.full((n, len(PAIN)), 0.04, np.float32)
    probabilities[np.arange(n), labels] = 0.8
    time_s = np.array(TIMES_MS[:n]) / 1000 if video.suffix == ".mkv" else np.arange(n) / 30
    meta = {
        "run": str(folder / "run"),
        "video": str(video),
        "fps": 30.0,
        "fingerprint": fingerprint(video),
    }
    write_predictions(
        folder, Predictions(video.stem, PAIN.classes, labels, probabilities, time_s, meta)
    )


def predicted_study(folder: Path, names: Sequence[str] = ("a_201M.mp4", "b_202F.mkv")) -> Path:
    """Films in `Videos/`, one of them with a variable frame rate, points in `DLC/`, and predictions
    of them."""
    for name in names:
        times = TIMES_MS if name.endswith("mkv") else None
        video = write_film(
            folder / "Videos" / name, numbered(N, 96, 128), options={"g": "30"}, times_ms=times
        )
        predict(folder / "predictions", video)
    points = (
        np.stack([np.full((N, 6), 60.0), np.full((N, 6), 40.0)], axis=-1) + np.arange(6)[:, None]
    )
    names_of_points = ("mouth", "L_frontpaw", "R_frontpaw", "L_hindpaw", "R_hindpaw", "tail_base")
    path = folder / "DLC" / f"{Path(names[0]).stem}DLC_net.csv"
    write_dlc(path, "net", names_of_points, points, np.full((N, 6), 0.95))
    return folder / "predictions"


@dataclass
class Served:
    url: str
    session: Session

    @property
    def base(self) -> str:
        return self.url.partition("?")[0].rstrip("/")


@contextlib.contextmanager
def serving(
    place: Path,
    rater: str = "ann",
    review: Review | None = None,
    blinded: bool = False,
    port: int = 0,
) -> Iterator[Served]:
    """A server in a thread, with everything that the command puts around it; it ends as Ctrl-C ends
    it."""
    session = Session(review or open_review(place, DataConfig()), rater, blinded=blinded)
    with serving_app(make_app(session, Progress(session)), port) as url:
        yield Served(url, session)


@contextlib.contextmanager
def serving_app(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """An app behind the guard, in a thread; gives the address that a user would open."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        port = listener.getsockname()[1]
        guard = Guard(app, "127.0.0.1", port, "token", lambda new: None)
        server = uvicorn.Server(uvicorn.Config(guard, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}/?token=token"
        finally:
            server.should_exit = True
            thread.join(10)
