"""A rig made of real video: eight clips of mice tiled into one film, each clip a chamber."""

from pathlib import Path

import numpy as np

from dolorim.api import predict
from dolorim.labels.prediction_files import read_predictions
from dolorim.video.reader import FrameStream
from racks import tile
from videos import LOSSLESS, write_film

N, ROWS, COLUMNS = 48, 2, 4


def clip(path: Path) -> list[np.ndarray]:
    return [np.array(frame.gray) for frame in FrameStream(path, stop=N)]


def test_the_labels_of_a_chamber_are_those_of_its_clip(real_data, trained, tmp_path):
    videos = sorted((real_data / "bottomview" / "Videos").glob("session*_groom.mp4"))[:8]
    clips = [clip(video) for video in videos]
    n_frames = min(map(len, clips))
    clips = [pictures[:n_frames] for pictures in clips]
    for i, pictures in enumerate(clips):
        write_film(tmp_path / "clips" / f"c{i}.mp4", pictures, options=LOSSLESS, full_range=True)
    film = tile(clips, COLUMNS)
    write_film(tmp_path / "rig" / "rig.mp4", film, options=LOSSLESS, full_range=True)
    settings = {"body_length_px": 50.0}
    predict(trained, tmp_path / "clips", out=tmp_path / "alone", **settings)
    predict(
        trained, tmp_path / "rig", out=tmp_path / "rack", chambers=f"{ROWS}x{COLUMNS}", **settings
    )
    same = []
    for i in range(ROWS * COLUMNS):
        name = f"{'AB'[i // COLUMNS]}{i % COLUMNS + 1}"
        alone = read_predictions(tmp_path / "alone" / f"c{i}.predictions.csv")
        in_rack = read_predictions(tmp_path / "rack" / f"rig.{name}.predictions.csv")
        same.append(alone.labels == in_rack.labels)
    assert np.concatenate(same).mean() >= 0.98
