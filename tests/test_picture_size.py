"""A picture that changes its size in the middle of a file: it is said, and what is done with the
frames is true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dolorim.checks.check import check
from dolorim.cli import main
from dolorim.config import Config, DataConfig
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.study import in_study_folder
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.prediction_files import read_predictions
from dolorim.video.crop import crop_frames, plan_crop
from dolorim.video.picture_size import PictureSize, describe_sizes, of_other_shape
from dolorim.video.reader import FrameStream
from examining import examine
from test_batch import random_run
from test_sample_frames import remuxed
from videos import numbered, write_film


def two_sizes(folder: Path, height: int, width: int) -> Path:
    """30 frames of 64x96 pixels, then the same 30 at another size, in one transport stream."""
    first = write_film(folder / "one.mp4", numbered(30, 64, 96), options={"crf": "10"})
    pictures = numbered(30, 64, 96)
    rows, columns = np.arange(height) * 64 // height, np.arange(width) * 96 // width
    second = write_film(
        folder / "two.mp4", [p[rows][:, columns] for p in pictures], options={"crf": "10"}
    )
    parts = [remuxed(video, video.with_suffix(".ts")).read_bytes() for video in (first, second)]
    video = folder / "Videos" / "both.ts"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"".join(parts))
    return video


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return random_run(tmp_path_factory.mktemp("random") / "run")


def test_a_larger_picture_of_the_same_view_gives_the_same_crops(tmp_path: Path) -> None:
    video = two_sizes(tmp_path, 128, 192)
    stream = FrameStream(video)
    view = plan_crop(video, DataConfig(crop="none", image_size=48))
    images = np.concatenate([b.images for b in crop_frames(stream, view)]).astype(int)
    assert stream.sizes == [PictureSize(0, 96, 64), PictureSize(30, 192, 128)]
    assert np.abs(images[:30] - images[30:]).mean() < 6


@pytest.mark.parametrize(("height", "width", "open_frames"), [(128, 192, 0), (96, 64, 30)])
def test_prediction_says_so_and_leaves_frames_of_another_shape_open(
    run: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    height: int,
    width: int,
    open_frames: int,
) -> None:
    video = two_sizes(tmp_path, height, width)
    assert main(["predict", str(run.path), str(video), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"96x64, then {width}x{height} from frame 30 on" in said
    assert ("not labeled" in said) == (open_frames > 0)
    labels = read_predictions(tmp_path / "out" / "both.predictions.csv").labels
    assert len(labels) == 60
    assert (labels[:30] >= 0).all()
    assert (labels[30:] < 0).sum() == open_frames
    meta = json.loads((tmp_path / "out" / "both.meta.json").read_text())
    assert meta["picture_sizes"][1] == {"first_frame": 30, "width_px": width, "height_px": height}
    assert meta["frames_of_another_shape"] == open_frames


def test_check_and_extraction_say_so_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = two_sizes(tmp_path, 128, 192)
    (finding,) = (
        f for f in examine(video, None, DataConfig()).findings if f.name == "size-changes"
    )
    assert "192x128 from frame 30 on" in finding.what
    command = [
        "extract",
        str(tmp_path),
        "--cache",
        str(tmp_path / "cache"),
        "--image_size",
        "16",
        "--workers",
        "1",
    ]
    for _ in range(2):  # an entry remembers it
        assert main(command) == 0
        assert "192x128 from frame 30 on" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(("height", "width", "learned"), [(128, 192, 60), (64, 192, 30)])
def test_training_does_not_learn_from_pictures_of_another_shape(
    tmp_path: Path, height: int, width: int, learned: int
) -> None:
    two_sizes(tmp_path, height, width)
    (tmp_path / "Annotations").mkdir()
    rows = "".join(f"{i},2\n" for i in range(60))
    (tmp_path / "Annotations" / "both.csv").write_text(f"Frame,Action\n{rows}", "utf-8")
    data = in_study_folder(tmp_path, DataConfig(image_size=32, cache=tmp_path / "cache"))
    for _ in range(2):  # freshly extracted, and read back from the cache
        (recording,) = load_dataset(Config(data=data)).labelled
        assert (recording.recording.labels >= 0).sum() == learned
        assert (recording.recording.labels[:30] == 2).all()
    # `check` counts what training learns from.
    assert check(data).counts["paw_lick"].frames == learned


def test_a_size_that_comes_and_goes_opens_only_its_own_frames() -> None:
    sizes = [PictureSize(0, 100, 100), PictureSize(3, 100, 50), PictureSize(5, 50, 50)]
    np.testing.assert_array_equal(of_other_shape(sizes, 7), [0, 0, 0, 1, 1, 0, 0])
    assert describe_sizes(sizes[:1]) is None
