"""Animals of one camera are of one length, whatever they do in a clip, in training as in
prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.extract import extract
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.raw_prediction import PredictInput
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.labels.prediction_files import read_predictions
from dolorim.models.build import build_recognizer
from dolorim.pose.pose_track import read_track
from dolorim.video.body_length import (
    NO_LENGTHS,
    BodyLengths,
    _measure_all,
    measure_body_lengths,
)
from dolorim.video.crop import plan_crop
from dolorim.video.reader import probe
from videos import write_film


def film(path: Path, length_px: float, side: int = 128) -> Path:
    """An ellipse of that length, twice as long as wide, that goes to and fro."""
    y, x = np.mgrid[:side, :side]
    pictures = []
    for i in range(40):
        middle = side / 2 + 0.2 * side * np.sin(i / 6)
        inside = ((x - middle) / (length_px / 2)) ** 2 + ((y - side / 2) / (length_px / 4)) ** 2 < 1
        pictures.append(np.where(inside, 40, 200).astype(np.uint8))
    return write_film(path, pictures, options={"preset": "ultrafast"})


def pose(path: Path, length_px: float) -> Path:
    names = ("mouth", "L_frontpaw", "R_frontpaw", "L_hindpaw", "R_hindpaw", "tail_base")
    places = [(0, 0), (0.3, 0.1), (0.3, -0.1), (0.7, 0.1), (0.7, -0.1), (1, 0)]
    head = [
        ",".join(["scorer"] + ["s"] * 18),
        ",".join(["bodyparts"] + [n for n in names for _ in range(3)]),
    ]
    head.append(",".join(["coords"] + ["x", "y", "likelihood"] * 6))
    row = ",".join(f"{20 + length_px * x:.2f},{50 + length_px * y:.2f},0.99" for x, y in places)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*head, *(f"{i},{row}" for i in range(40))]) + "\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    return DataConfig(cache=tmp_path / "cache", image_size=16)


@pytest.fixture
def videos(tmp_path: Path) -> dict[Path, Path | None]:
    """Four clips of one camera, in one of which the animal cowers, and one of another camera."""
    lengths = {"a": 40, "b": 42, "c": 24, "d": 41}
    poses: dict[Path, Path | None] = {
        film(tmp_path / f"{name}.mp4", length): pose(tmp_path / f"{name}DLC_x.csv", 0.8 * length)
        for name, length in lengths.items()
    }
    poses[film(tmp_path / "large.mp4", 80, side=256)] = pose(tmp_path / "largeDLC_x.csv", 64)
    return poses


def test_all_videos_of_one_picture_size_have_the_median_length(
    videos: dict[Path, Path | None], config: DataConfig
) -> None:
    lengths = measure_body_lengths(videos, config, crops=True, poses=True)
    assert set(lengths.pictures) == set(lengths.poses) == {"128x128", "256x256"}
    assert lengths.poses["128x128"] == pytest.approx(0.8 * 40.5, rel=0.03)
    assert lengths.poses["256x256"] == pytest.approx(64, rel=0.03)
    alone = [plan_crop(v, config).side_px for v in videos][:4]
    assert max(alone) > 1.3 * min(alone)
    sides = [plan_crop(v, lengths.for_crop(config, v)).side_px for v in videos]
    assert len(set(sides[:4])) == 1
    assert sides[0] == pytest.approx(np.median(alone), rel=0.1)
    assert sides[4] == pytest.approx(2 * sides[0], rel=0.15)
    poses = [
        read_track(p, lengths.for_pose(config, v), False, 30.0) for v, p in videos.items() if p
    ]
    assert len({t.length_px for t in poses[:4]}) == 1


def test_a_further_video_leaves_the_length_and_the_cached_crops_as_they_are(
    videos: dict[Path, Path | None], config: DataConfig, tmp_path: Path
) -> None:
    before = measure_body_lengths(videos, config, crops=True, poses=False)
    more = {**videos, film(tmp_path / "e.mp4", 40.5): None}
    assert measure_body_lengths(more, config, crops=True, poses=False) == before


def test_a_length_that_is_given_wins(videos: dict[Path, Path | None], config: DataConfig) -> None:
    given = DataConfig(cache=config.cache, image_size=16, body_length_px=55)
    assert measure_body_lengths(videos, given, crops=True, poses=True) == NO_LENGTHS
    lengths = BodyLengths({"128x128": 30.0}, {"128x128": 25.0})
    video = next(iter(videos))
    assert (
        lengths.for_crop(given, video).body_length_px
        == lengths.for_pose(given, video).body_length_px
        == 55
    )


def test_a_broken_video_and_a_broken_pose_are_left_out(
    videos: dict[Path, Path | None], config: DataConfig, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "aDLC_x.csv").write_text("nothing\n")
    lengths = measure_body_lengths(
        {**videos, tmp_path / "broken.mp4": None}, config, crops=True, poses=True
    )
    assert set(lengths.pictures) == {"128x128", "256x256"}
    assert lengths.poses["128x128"] > 0


def test_the_length_is_kept_in_the_run_and_serves_prediction(
    videos: dict[Path, Path | None], config: DataConfig, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    run = RunFolder(tmp_path / "run")
    settings = Config(data=config, model=ModelConfig(clip_length=4))
    run.start(settings, PAIN, Split(train=("a",)))
    run.save_model(build_recognizer(settings.model, len(PAIN)))
    run.write_json("decoder.json", Decoder().to_dict())
    video = sorted(videos)[2]  # the animal cowers
    jobs = [PredictInput(video, video.stem)]
    assert run.read_body_lengths() == NO_LENGTHS  # of an older version
    predict_videos(run, jobs, tmp_path / "old")
    lengths = measure_body_lengths(videos, config, crops=True, poses=False)
    run.write_json("body_lengths.json", {"pictures": dict(lengths.pictures), "poses": {}})
    assert predict_videos(run, jobs, tmp_path / "old", PredictOptions(overwrite=False)).done == [
        video
    ]  # another view: done again
    assert predict_videos(run, jobs, tmp_path / "old", PredictOptions(overwrite=False)).done == []
    predictions = read_predictions(tmp_path / "old" / f"{video.stem}.predictions.csv")
    assert predictions.meta["view"]["body_length_px"] == lengths.pictures["128x128"]
    cached = extract([video], config, lengths=lengths)[0][video]
    assert cached.side_px == pytest.approx(1.6 * lengths.pictures["128x128"])
    given = predict_videos(
        run, jobs, tmp_path / "old", PredictOptions(overwrite=False, body_length_px=50.0)
    )
    assert given.done == [video]


def test_lengths_that_cannot_be_are_refused(tmp_path: Path) -> None:
    zero = {"pictures": {}, "poses": {"1x1": 0}}
    for data in ([], {"pictures": {}}, {"pictures": {"1x1": "long"}, "poses": {}}, zero):
        with pytest.raises(UserError, match=r"body_lengths\.json"):
            BodyLengths.from_dict(data, "run/body_lengths.json")


def test_pictures_of_a_size_that_was_not_learned_from_are_estimated_one_by_one(
    videos: dict[Path, Path | None], config: DataConfig
) -> None:
    lengths = BodyLengths({"640x480": 90.0}, {})
    video = next(iter(videos))
    assert lengths.for_crop(config, video) == config
    assert plan_crop(video, config, probe(video)).side_px < 100


def test_a_new_picture_size_and_a_zoomed_camera_are_named_with_what_is_done(
    videos: dict[Path, Path | None], config: DataConfig
) -> None:
    video = sorted(videos)[0]
    seen_px = plan_crop(video, config).seen_length_px
    assert seen_px == pytest.approx(40, rel=0.2)

    def said(pictures: dict[str, float], config: DataConfig = config) -> str | None:
        return BodyLengths(pictures, {}).describe_new_view(config, probe(video), seen_px)

    new_size = said({"640x480": 90.0}) or ""
    assert "128x128 pixels are new to the run" in new_size
    assert f"a body of {seen_px:.0f} px" in new_size
    zoomed = said({"128x128": 110.0}) or ""
    assert f"looks {seen_px:.0f} px long, and the run expects 110 px" in zoomed
    assert "--body_length_px" in new_size
    assert "--body_length_px" in zoomed
    # A clip that shows the animal curled up or stretched is no new camera.
    assert said({"128x128": 0.7 * seen_px}) is said({"128x128": 1.4 * seen_px}) is None
    assert said({}) is None  # a run of an older version
    assert said({"640x480": 90.0}, DataConfig(body_length_px=40)) is None
    assert said({"640x480": 90.0}, DataConfig(crop="none")) is None


def test_predict_and_evaluate_say_that_a_view_is_new(
    videos: dict[Path, Path | None],
    config: DataConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunFolder(tmp_path / "run")
    settings = Config(data=config, model=ModelConfig(clip_length=4))
    run.start(settings, PAIN, Split(train=("a",)))
    run.save_model(build_recognizer(settings.model, len(PAIN)))
    run.write_json("decoder.json", Decoder().to_dict())
    run.write_json("body_lengths.json", {"pictures": {"640x480": 90.0}, "poses": {}})
    video = sorted(videos)[0]
    predict_videos(run, [PredictInput(video, video.stem)], tmp_path / "out")
    assert "128x128 pixels are new to the run" in capsys.readouterr().err
    for _ in range(2):  # the second time from the cache
        extract([video], config, lengths=run.read_body_lengths())
        assert "128x128 pixels are new to the run" in capsys.readouterr().err


def test_lengths_come_in_the_order_of_the_files_and_are_measured_once(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.mp4" for i in range(9)]
    # The first file cannot be read, and the last one is not there.
    for i, file in enumerate(files[:-1]):
        file.write_bytes(bytes(i))
    config = DataConfig(cache=tmp_path / "cache")
    assert _measure_all(files, config, "test", _bytes_of) == [None, *range(1, 8), None]
    assert _measure_all(files[1:8], config, "test", _bug) == [*range(1, 8)]


def _bytes_of(file: Path, config: DataConfig) -> float:
    size = file.stat().st_size
    if not size:
        raise UserError("empty", where=file)
    return float(size)


def _bug(file: Path, config: DataConfig) -> float:
    raise AssertionError(file)
