"""A video that ends early without an error is not passed over in silence."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dolorim.cli import main
from dolorim.video.oddities import describe_oddities
from dolorim.video.reader import FrameStream, probe
from videos import numbered, write_film

FRAMES = 240


def matroska(path: Path) -> Path:
    """Noise, so that every frame has its bytes: eight seconds at 30 frames/s, a key frame per
    second.
    """
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options={"g": "30"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(FRAMES):
            image = rng.integers(0, 255, (64, 64), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    whole = matroska(tmp_path / "whole.mkv")
    video = tmp_path / "Videos" / "cut.mkv"
    video.parent.mkdir()
    video.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    return video


def test_a_truncated_matroska_file_is_told_from_a_whole_one(tmp_path: Path, cut: Path) -> None:
    for video, whole in ((tmp_path / "whole.mkv", True), (cut, False)):
        stream = FrameStream(video)
        times = np.array([frame.time_s for frame in stream])
        said = describe_oddities(probe(video), times, stream.damage is not None, stream.sizes)
        # Some decoders report damage at the cut; then that is what is said.
        assert whole == ("cut-off" not in said and stream.damage is None)


def test_check_and_predict_say_that_a_video_was_cut_off(
    trained: Path, cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(cut.parent), "--workers", "1", "--all"]) in (1, 2)
    assert "cut off" in capsys.readouterr().out
    out = str(tmp_path / "labels")
    assert main(["predict", str(trained), str(cut), "--out", out]) == 0
    assert "promises about 240" in capsys.readouterr().err


@pytest.mark.parametrize(
    "times_ms",
    [
        [300_000 + 33 * i for i in range(60)],
        [33 * i for i in range(60) if i % 6],
        [33 * i + 20_000 * (i > 30) for i in range(60)],
    ],
    ids=["begins at 300 s", "frames were dropped", "pauses"],
)
def test_a_whole_video_with_few_frames_for_its_length_is_not_taken_for_cut_off(
    tmp_path: Path, times_ms: list[int]
) -> None:
    video = tmp_path / "v.mkv"
    write_film(video, numbered(len(times_ms)), times_ms=times_ms)
    stream = FrameStream(video)
    times = np.array([frame.time_s for frame in stream])
    assert len(times) == len(times_ms)
    assert describe_oddities(probe(video), times, False, stream.sizes) == {}
