"""What a run says about the chambers of a video is what it says about each on its own."""

import json
from pathlib import Path

import numpy as np
import pytest

from dolorim.api import predict
from dolorim.config import DataConfig
from dolorim.files.recordings import InChamber
from dolorim.inference.predict_batch import BatchResult
from dolorim.labels.prediction_files import read_predictions
from dolorim.reporting.study_labels import predicted_pieces
from dolorim.video.chambers import lay_grid
from dolorim.video.crop_stream import open_crops
from dolorim.video.reader import FrameStream
from racks import mouse_pictures, rack_film, tile
from videos import LOSSLESS, write_film

SIDE, N = 96, 40


@pytest.fixture(scope="module")
def singles() -> list[list[np.ndarray]]:
    return [mouse_pictures(i, N, SIDE) for i in range(4)]


@pytest.fixture(scope="module")
def rig(singles: list[list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rack of 2 x 2 mice, and a film of each of them alone, with exactly the same pixels."""
    folder = tmp_path_factory.mktemp("rack")
    for i, pictures in enumerate(singles):
        write_film(folder / "alone" / f"m{i}.mp4", pictures, options=LOSSLESS)
    write_film(folder / "rack" / "cage.mp4", tile(singles, 2), options=LOSSLESS)
    return folder


def run_on(trained: Path, videos: Path, out: Path, **settings) -> BatchResult:
    return predict(trained, videos, out=out, **settings)


def test_the_crops_of_a_chamber_are_those_of_its_own_video(rig):
    chambers = lay_grid((2 * SIDE, 2 * SIDE), 2, 2)
    for i, chamber in ((0, chambers[0]), (3, chambers[3])):
        config = DataConfig(image_size=32, chamber=chamber.box)
        in_rack = [*open_crops(rig / "rack" / "cage.mp4", config)]
        alone = [*open_crops(rig / "alone" / f"m{i}.mp4", DataConfig(image_size=32))]
        for one, other in zip(in_rack, alone, strict=True):
            assert np.array_equal(one.images, other.images)
            assert np.array_equal(one.centers, other.centers)


def test_masks_are_in_pixels_of_the_whole_picture(rig):
    [_, chamber, _, _] = lay_grid((2 * SIDE, 2 * SIDE), 2, 2)
    masked = DataConfig(image_size=32, chamber=chamber.box, mask=f"{SIDE},0,{SIDE + 40},50;0,0,9,9")
    in_rack = next(iter(open_crops(rig / "rack" / "cage.mp4", masked)))
    alone = next(
        iter(open_crops(rig / "alone" / "m1.mp4", DataConfig(image_size=32, mask="0,0,40,50")))
    )
    assert np.array_equal(in_rack.images, alone.images)


def test_each_chamber_has_the_labels_of_its_own_video(trained, rig, tmp_path):
    settings = {"body_length_px": 29.0}
    alone = run_on(trained, rig / "alone", tmp_path / "alone", **settings)
    rack = run_on(trained, rig / "rack", tmp_path / "rack", chambers="2x2", **settings)
    assert (len(alone.done), len(rack.done), rack.failed) == (4, 4, [])
    for i, name in enumerate(("A1", "A2", "B1", "B2")):
        one = read_predictions(tmp_path / "alone" / f"m{i}.predictions.csv")
        other = read_predictions(tmp_path / "rack" / f"cage.{name}.predictions.csv")
        assert np.array_equal(one.labels, other.labels)
        assert np.allclose(one.probabilities, other.probabilities, atol=2e-4)
        meta = json.loads((tmp_path / "rack" / f"cage.{name}.meta.json").read_text())
        assert meta["chamber"]["name"] == name


def test_a_chambers_csv_beside_the_videos_counts(trained, rig, tmp_path):
    rack = tmp_path / "Videos"
    rack.mkdir()
    (rack / "cage.mp4").symlink_to(rig / "rack" / "cage.mp4")
    (tmp_path / "chambers.csv").write_text("chamber,x0,y0,x1,y1\nleft,0,0,96,96\n")
    batch = run_on(trained, rack, tmp_path / "out")
    assert [r.chamber.name for r in batch.done if isinstance(r, InChamber)] == ["left"]
    assert (tmp_path / "out" / "cage.left.bouts.csv").exists()


def test_chambers_that_are_done_are_not_labelled_again(trained, rig, tmp_path):
    run_on(trained, rig / "rack", tmp_path, chambers="2x2")
    (tmp_path / "cage.A2.meta.json").unlink()
    again = run_on(trained, rig / "rack", tmp_path, chambers="2x2", overwrite=False)
    assert [str(r).partition(", chamber ")[2] for r in again.done] == ["A2"]
    moved = run_on(trained, rig / "rack", tmp_path, chambers="1x2", overwrite=False)
    assert len(moved.done) == 2  # A1 and A2 are elsewhere now


def test_a_chamber_outside_the_picture_does_not_stop_the_others(trained, rig, tmp_path):
    (tmp_path / "boxes.csv").write_text("chamber,x0,y0,x1,y1\nA,0,0,96,96\nB,96,0,400,96\n")
    batch = run_on(trained, rig / "rack", tmp_path / "out", chambers=tmp_path / "boxes.csv")
    assert [str(r).rpartition(" ")[2] for r in batch.done] == ["A"]
    [(failed, why)] = batch.failed
    assert "lies outside the picture, which has 192 x 192 pixels" in why
    assert str(failed).endswith("cage.mp4, chamber B")


def test_an_empty_chamber_gets_no_label_and_the_overlay_shows_all_chambers(
    trained, tmp_path, capsys
):
    video = rack_film(tmp_path / "cage.mp4", n_frames=60, empty=(3,))
    out = tmp_path / "out"
    batch = run_on(trained, video, out, chambers="2x2", overlay=True)
    assert len(batch.done) == 4
    assert "chamber B2: nothing moves or looks like an animal" in capsys.readouterr().err
    empty = read_predictions(out / "cage.B2.predictions.csv")
    assert (empty.labels == -1).all()
    assert len(empty.labels) == 60
    assert (read_predictions(out / "cage.A1.predictions.csv").labels >= 0).all()
    assert len([*FrameStream(out / "cage.overlay.mp4")]) == 60
    assert not list(out.glob("cage.A1.overlay*"))
    [note] = predicted_pieces(out, ["cage.A1", "cage.B2"])[0].findings
    assert "nobody was in this chamber" in note.what


def test_a_video_whose_chambers_are_unclear_fails_and_the_others_are_labelled(
    trained, rig, tmp_path
):
    batch = run_on(trained, rig / "alone" / "m0.mp4", tmp_path, chambers="auto")
    [(_, why)] = batch.failed
    assert "its chambers cannot be told from the picture" in why
    assert not list(tmp_path.glob("*.csv"))
