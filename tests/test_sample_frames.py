"""The crop is planned from the same frames whatever container a stream lies in, with or without an
index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.prediction_files import read_predictions
from dolorim.simulate.mouse import Mouse
from dolorim.video.crop import plan_crop
from dolorim.video.reader import FrameStream, probe
from dolorim.video.sample_frames import sample_frames
from test_batch import random_run
from videos import mouse_film, number_in, numbered, write_film

MOUSE = Mouse(length_px=34, floor=130, coat=60, paw=170, patchiness=0.2, noise=2, side=1)
CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {
    "transport stream": ("x.ts", {}),
    "camera's transport stream": ("x.m2ts", {}),
    "bare stream": ("x.h264", {}),
    "live recording": ("x.mkv", {"live": "1"}),
    "fragments": ("x.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "flash": ("x.flv", {}),
}


def remuxed(video: Path, target: Path, **options: str) -> Path:
    """The same coded stream in another container."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        av.open(str(video)) as source,
        av.open(str(target), "w", container_options=options) as copy,
    ):
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return target


@pytest.fixture(scope="module", params=["one key frame", "a key frame every 12"])
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = tmp_path_factory.mktemp("film") / "drawn.mp4"
    mouse_film(whole, MOUSE, seed=4, n_frames=150)
    pictures = [np.array(f.gray) for f in FrameStream(whole)]
    interval = "1000" if request.param == "one key frame" else "12"
    options = {"preset": "veryfast", "g": interval, "bf": "2"}
    return write_film(whole.with_name("film.mp4"), pictures, options=options)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_same_stream_gives_the_same_crop_in_any_container(
    film: Path, tmp_path: Path, kind: str
) -> None:
    name, options = CONTAINERS[kind]
    config = DataConfig(image_size=32)
    copy = remuxed(film, tmp_path / name, **options)
    assert len(list(FrameStream(copy))) == 150
    assert plan_crop(copy, config).side_px == plan_crop(film, config).side_px
    there, here = sample_frames(copy), sample_frames(film)
    assert len(there) == len(here) >= 30
    np.testing.assert_array_equal([f.luma for f in there], [f.luma for f in here])


def test_a_bare_stream_runs_at_the_rate_that_it_was_coded_with(film: Path, tmp_path: Path) -> None:
    bare = remuxed(film, tmp_path / "x.h264")
    assert probe(bare).header_rate_hz == 30
    assert [f.time_s for f in FrameStream(bare)][-1] == pytest.approx(149 / 30)


def test_a_program_stream_is_sampled_as_its_mp4_is(tmp_path: Path) -> None:
    options = {"g": "12", "bf": "2"}
    whole = write_film(tmp_path / "a.mp4", numbered(90), codec="mpeg2video", options=options)
    copy = remuxed(whole, tmp_path / "a.mpg")
    np.testing.assert_array_equal(
        [f.luma for f in sample_frames(copy)], [f.luma for f in sample_frames(whole)]
    )


def test_pictures_that_each_stand_for_themselves_are_sampled_alike_with_a_broken_index(
    tmp_path: Path,
) -> None:
    whole = write_film(
        tmp_path / "a.avi", numbered(90), codec="mjpeg", pix_fmt="yuvj420p", full_range=True
    )
    data = whole.read_bytes()
    index = data.rindex(b"idx1")
    (tmp_path / "none.avi").write_bytes(data[:index])
    (tmp_path / "zero.avi").write_bytes(data[: index + 8] + bytes(len(data) - index - 8))
    wanted = [f.luma for f in sample_frames(whole)]
    for name in ("none.avi", "zero.avi"):
        np.testing.assert_array_equal([f.luma for f in sample_frames(tmp_path / name)], wanted)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_video_of_a_few_frames_gives_them_all(tmp_path: Path, n: int) -> None:
    noise = [np.random.default_rng(i).integers(0, 255, (128, 128), np.uint8) for i in range(n)]
    short = write_film(tmp_path / "short.mp4", noise)
    assert len(sample_frames(short)) == n
    assert len(sample_frames(remuxed(short, tmp_path / "short.ts"))) == n


def test_frames_are_spread_over_all_of_a_video_without_a_duration(tmp_path: Path) -> None:
    drawn = write_film(
        tmp_path / "a.mp4", numbered(200), options={"g": "1000", "preset": "ultrafast"}
    )
    live = remuxed(drawn, tmp_path / "live.mkv", live="1")
    assert probe(live).expected_frames == 0
    numbers = [number_in(f.gray) for f in sample_frames(live)]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0
    assert numbers[-1] > 185


def test_what_holds_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    sound: Any
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    for name, said in (
        ("sound", "no video stream"),
        ("empty", "0 bytes"),
        ("text", "cannot be opened as a video"),
    ):
        with pytest.raises(UserError, match=said):
            sample_frames(tmp_path / f"{name}.mp4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return random_run(tmp_path_factory.mktemp("random") / "run")


def test_a_transport_stream_is_labelled_as_its_mp4_is(
    run: RunFolder, film: Path, tmp_path: Path
) -> None:
    copy = remuxed(film, tmp_path / "Videos" / "x.ts")
    assert (
        main(["predict", str(run.path), str(copy), "--out", str(tmp_path / "ts"), "--quiet"]) == 0
    )
    assert (
        main(["predict", str(run.path), str(film), "--out", str(tmp_path / "mp4"), "--quiet"]) == 0
    )
    one, two = (
        read_predictions(p)
        for p in (tmp_path / "ts/x.predictions.csv", tmp_path / "mp4/film.predictions.csv")
    )
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_the_given_transport_stream_is_labelled(
    run: RunFolder, real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = real_data / "cases" / "transport_stream" / "short.ts"
    assert main(["predict", str(run.path), str(video), "--out", str(tmp_path), "--quiet"]) == 0
    assert json.loads((tmp_path / "short.meta.json").read_text())["n_frames"] == 240
    assert plan_crop(video, DataConfig()).side_px == pytest.approx(
        118.04, abs=0.01
    )  # as of its copy in an mp4 file
