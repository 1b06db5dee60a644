"""Video is read truthfully: what decodes, in order, upright, in true gray, with its own time."""

import os
import struct
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.cli import main
from dolorim.core.errors import UserError
from dolorim.video.oddities import describe_oddities
from dolorim.video.reader import FrameStream, full_range, probe, read_frames
from dolorim.video.sample_frames import sample_frames
from dolorim.video.writer import VideoWriter
from videos import LOSSLESS, number_in, numbered, write_film

N = 50


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """50 numbered frames in H.264 with frames that are stored in another order than they are shown
    (B-frames)."""
    return write_film(
        tmp_path_factory.mktemp("film") / "numbered.mp4",
        numbered(N),
        options={"bf": "3", "g": "12"},
    )


@pytest.fixture(scope="module")
def frames(film):
    return list(FrameStream(film))


def soft_scene(height=64, width=96):
    y, x = np.mgrid[:height, :width]
    return [
        (128 + 120 * np.sin(x / 15 + i / 5) * np.cos(y / 20)).astype(np.uint8) for i in range(4)
    ]


def difference(path, scene):
    got = np.stack([frame.gray for frame in FrameStream(path)]).astype(int)
    assert got.shape == (len(scene), *scene[0].shape)
    return np.abs(got - np.stack(scene)).max()


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("h264.mp4", "libx264", {"bf": "3"}),
        ("h264.mkv", "libx264", {"bf": "3", "g": "10"}),
        ("h265.mp4", "libx265", {"x265-params": "log-level=none:pools=1"}),
        ("mpeg4.avi", "mpeg4", {"bf": "2", "qscale": "2"}),
        ("vp9.mkv", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_frames_come_in_the_order_they_were_filmed_and_are_counted_from_zero(
    tmp_path, name, codec, options
):
    path = write_film(tmp_path / name, numbered(40), codec=codec, options=options, rate=25)
    stream = FrameStream(path)
    frames = list(stream)
    assert [f.index for f in frames] == list(range(40)) == [number_in(f.gray) for f in frames]
    assert [f.time_s - frames[0].time_s for f in frames] == pytest.approx(
        [i / 25 for i in range(40)], abs=1e-3
    )
    assert (stream.decoded, stream.damage) == (40, None)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=6))
def test_a_frame_fetched_by_its_number_is_the_one_that_reading_from_the_start_comes_to(
    film, frames, indices
):
    fetched = read_frames(film, indices)
    assert len(fetched) == len(indices)
    assert all(np.array_equal(a, frames[i].gray) for a, i in zip(fetched, indices, strict=True))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, N + 5), st.integers(0, N + 5))
def test_a_stream_from_the_middle_gives_the_same_frames_under_the_same_numbers(
    film, frames, start, stop
):
    stream = FrameStream(film, start, stop)
    part = list(stream)
    assert [f.index for f in part] == list(range(N))[start:stop]
    assert all(
        np.array_equal(f.luma, frames[f.index].luma) and f.time_s == frames[f.index].time_s
        for f in part
    )
    assert stream.decoded == min(stop, N)


def test_a_frame_behind_the_last_one_is_refused_and_not_made_up(film):
    with pytest.raises(UserError, match=f"frame {N} does not exist"):
        read_frames(film, [3, N])


@pytest.mark.parametrize("name", ["phone.mp4", "phone.mkv"])
def test_each_frame_keeps_its_own_time_where_the_rate_varies(tmp_path, name):
    times_ms = np.cumsum(np.random.default_rng(0).integers(5, 120, 30)).tolist()
    path = write_film(tmp_path / name, numbered(30), times_ms=times_ms)
    assert [f.time_s * 1000 for f in FrameStream(path)] == pytest.approx(times_ms, abs=0.01)


def test_a_scene_reads_the_same_from_a_limited_and_from_a_full_range_file(tmp_path):
    scene = soft_scene()
    limited = write_film(tmp_path / "limited.mp4", scene, options=LOSSLESS)
    full = write_film(tmp_path / "full.mp4", scene, options=LOSSLESS, full_range=True)
    one, two = (list(FrameStream(path)) for path in (limited, full))
    assert one[0].video_range
    assert not two[0].video_range
    assert (
        max(np.abs(a.gray.astype(int) - b.gray).max() for a, b in zip(one, two, strict=True)) <= 1
    )
    assert max(difference(limited, scene), difference(full, scene)) <= 1


def test_black_and_white_of_video_range_become_0_and_255_and_nothing_wraps_around():
    luma = np.arange(256, dtype=np.uint8)
    gray = full_range(luma, True).astype(int)
    assert (gray[16], gray[235]) == (0, 255)
    assert np.all(np.diff(gray) >= 0)
    assert np.array_equal(full_range(luma, False), luma)


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "options", "full", "rounding"),
    [
        ("yuv422p", "libx264", LOSSLESS, False, 1),
        ("yuv444p", "libx264", LOSSLESS, False, 1),
        ("nv12", "rawvideo", {}, False, 1),
        ("gray", "ffv1", {}, True, 0),
        ("bgr0", "ffv1", {}, True, 1),
        ("rgb24", "libx264rgb", LOSSLESS, True, 1),
        ("yuva420p", "ffv1", {}, False, 1),
        ("uyvy422", "rawvideo", {}, False, 1),
        ("yuv420p10le", "libx264", LOSSLESS, False, 2),
        ("yuv420p10le", "libx264", LOSSLESS, True, 1),
        ("yuv422p12le", "libx265", {"x265-params": "lossless=1:log-level=none:pools=1"}, False, 2),
        ("yuv444p16le", "ffv1", {}, False, 2),
        ("gray10le", "ffv1", {}, True, 0),
        ("gray16le", "ffv1", {}, True, 0),
    ],
)
def test_whatever_the_pixel_format_the_gray_is_that_of_the_scene(
    tmp_path, pix_fmt, codec, options, full, rounding
):
    scene = soft_scene()
    path = write_film(
        tmp_path / "a.mkv", scene, codec=codec, pix_fmt=pix_fmt, options=options, full_range=full
    )
    assert difference(path, scene) <= rounding


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "gray", "gray10le"])
@pytest.mark.parametrize(("height", "width"), [(63, 97), (51, 64), (48, 33)])
def test_a_picture_of_odd_size_keeps_its_last_row_and_column(tmp_path, pix_fmt, height, width):
    scene = soft_scene(height, width)
    path = write_film(tmp_path / "odd.mkv", scene, codec="ffv1", pix_fmt=pix_fmt)
    assert (probe(path).height_px, probe(path).width_px) == (height, width)
    assert difference(path, scene) <= 1


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_film_from_a_turned_phone_is_read_upright(tmp_path, quarters):
    picture = np.full((48, 96), 60, np.uint8)
    picture[:16, :16], picture[:16, -16:] = 220, 140
    path = write_film(tmp_path / "turned.mp4", [picture] * 3, options=LOSSLESS)
    # The matrix of ISO 14496-12, 8.3.2: (x, y) is shown at (ax + cy, bx + dy).
    a, b, c, d = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][quarters]
    raw = bytearray(path.read_bytes())
    at = raw.index(b"tkhd") + 44
    raw[at : at + 20] = struct.pack(">5i", a << 16, b << 16, 0, c << 16, d << 16)
    path.write_bytes(raw)
    shown = np.rot90(picture, -quarters)  # clockwise
    info = probe(path)
    assert (info.height_px, info.width_px) == shown.shape
    assert difference(path, [shown] * 3) <= 1


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
@pytest.mark.parametrize("first_bad", [1, 17, N - 1])
def test_a_damaged_file_yields_the_frames_that_decode_and_says_where_it_stops(
    tmp_path, fill, first_bad
):
    path = write_film(tmp_path / "disk.mp4", numbered(N), options={"bf": "0"})
    good = [f.luma for f in FrameStream(path)]
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][first_bad]
    raw = bytearray(path.read_bytes())
    raw[packet.pos : packet.pos + packet.size] = fill * packet.size
    path.write_bytes(raw)
    stream = FrameStream(path)
    got = [f.luma for f in stream]
    assert len(got) == stream.decoded == first_bad
    assert all(np.array_equal(a, b) for a, b in zip(good, got, strict=False))
    assert stream.damage is not None
    assert str(stream.damage).startswith(f"damaged: {first_bad} frames decode, then ")
    assert probe(path).header_frames == N


@pytest.mark.parametrize("last", [1, 9, 30, N - 1])
@pytest.mark.parametrize(
    ("name", "codec", "options", "container"),
    [
        ("copy.mp4", "libx264", {}, {"movflags": "faststart"}),
        ("copy.avi", "mpeg4", {"g": "12"}, {}),
    ],
)
def test_a_file_whose_copy_broke_off_amid_a_frame_says_so_and_its_frames_are_the_true_ones(
    tmp_path, name, codec, options, container, last
):
    path = tmp_path / name
    write_film(path, numbered(N), codec=codec, options=options, container_options=container)
    good = [f.luma for f in FrameStream(path)]
    with av.open(str(path)) as opened:
        packet = [p for p in opened.demux(video=0) if p.size][last]
    os.truncate(path, packet.pos + packet.size // 2)
    stream = FrameStream(path)
    got = [f.luma for f in stream]
    assert (
        last - 3 <= len(got) <= last
    )  # the last ones before the break may wait for a frame behind it
    assert stream.damage is not None
    assert stream.damage.frames == len(got)
    assert all(np.array_equal(a, b) for a, b in zip(good, got, strict=False))


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        sound.sample_rate, sound.pts = 44100, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("empty.mp4", lambda p: p.write_bytes(b""), "the file is empty"),
        (
            "notes.mp4",
            lambda p: p.write_text("mouse 3 was tired\n" * 50),
            "cannot be opened as a video",
        ),
        ("missing.mp4", lambda p: None, "there is no such video file"),
        ("folder.mp4", lambda p: p.mkdir(), "there is no such video file"),
        ("sound.mp4", write_sound, "holds no video stream"),
        (
            "index_lost.mp4",  # the index stands at the end of a usual MP4 file
            lambda p: (write_film(p, numbered(20)), os.truncate(p, p.stat().st_size // 2)),
            "cannot be opened as a video",
        ),
    ],
)
def test_what_is_no_video_is_refused_in_one_line_that_names_the_file(tmp_path, name, make, reason):
    path = tmp_path / name
    make(path)
    for read in (
        probe,
        sample_frames,
        lambda p: list(FrameStream(p)),
        lambda p: read_frames(p, [0]),
    ):
        with pytest.raises(UserError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: {reason}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n", [1, 20, 33, 60, 90, 130])
def test_a_sample_is_spread_over_the_whole_film_and_always_the_same(tmp_path, n):
    path = write_film(
        tmp_path / "one_key_frame.mp4", numbered(n), options={"preset": "ultrafast", "g": "1000"}
    )
    numbers = [number_in(f.gray) for f in sample_frames(path)]
    edges = [-1, *numbers, n]
    assert max(b - a for a, b in pairwise(edges)) <= 2 * max(1, n / 32) + 1
    assert len(numbers) <= 48
    assert numbers == [number_in(f.gray) for f in sample_frames(path)]


@pytest.mark.parametrize(
    ("name", "decoding", "in_header"),
    [
        ("corrupted.mp4", 28, 50),
        ("flipping_a_pancake.mkv", 310, 0),
        ("h264_10bits.mp4", 30, 30),
        ("h265_video.mp4", 10, 10),
        ("var_fps_video.mp4", 300, 300),
        ("video_0.mov", 3, 3),
        ("video_90.mov", 3, 3),
    ],
)
def test_real_files_hold_the_frames_that_decode_whatever_their_headers_say(
    real_data, name, decoding, in_header
):
    path = real_data / "odd_videos" / name
    stream = FrameStream(path)
    frames = list(stream)
    assert len(frames) == stream.decoded == decoding
    assert probe(path).header_frames == in_header
    assert (stream.damage is not None) == (name == "corrupted.mp4")
    assert all(b.time_s > a.time_s for a, b in pairwise(frames))


def test_a_real_file_with_a_rotation_flag_is_upright_and_the_one_without_lies(real_data):
    shapes = [
        next(iter(FrameStream(real_data / "odd_videos" / f"video_{turn}.mov"))).luma.shape
        for turn in (0, 90)
    ]
    assert shapes == [(320, 568), (568, 320)]


def test_a_written_film_holds_what_was_written_cut_to_even_sides(tmp_path):
    pictures = numbered(12, 65, 97)
    with VideoWriter(tmp_path / "new" / "a.mp4", 97, 65, 12.5, crf=4) as video:
        for picture in pictures:
            video.write(picture)
    got = list(FrameStream(tmp_path / "new" / "a.mp4"))
    assert [number_in(f.gray) for f in got] == list(range(12))
    assert got[0].luma.shape == (64, 96)
    assert got[5].time_s == pytest.approx(5 / 12.5)
    assert np.abs(got[5].gray.astype(int) - pictures[5][:64, :96]).mean() < 2


def test_a_film_whose_writing_fails_leaves_no_file_behind(tmp_path):
    def film_and_fail(video):
        for picture in numbered(90):
            video.write(picture)
        assert list(tmp_path.iterdir()) != []
        assert not (tmp_path / "a.mp4").exists()
        raise RuntimeError("power cut")

    with (
        pytest.raises(RuntimeError, match="power cut"),
        VideoWriter(tmp_path / "a.mp4", 96, 64, 30) as video,
    ):
        film_and_fail(video)
    assert list(tmp_path.iterdir()) == []


def test_a_bare_stream_that_does_not_state_its_rate_is_said_to_be_timed_at_an_assumed_one(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = numbered(12)
    videos = tmp_path / "Videos"
    write_film(videos / "bare.mjpeg", pictures, codec="mjpeg", pix_fmt="yuvj420p")
    write_film(videos / "stated.h264", pictures)  # H.264 carries its rate in the coded stream
    write_film(videos / "timed.avi", pictures, codec="mjpeg", pix_fmt="yuvj420p")
    assumed = {path.name: probe(path).rate_is_assumed for path in sorted(videos.iterdir())}
    assert assumed == {"bare.mjpeg": True, "stated.h264": False, "timed.avi": False}

    main(["check", str(tmp_path), "--workers", "1", "--all"])
    assert "rate-assumed" in capsys.readouterr().out
    image = ["--crop", "none", "--image_size", "16", "--cache", str(tmp_path / "cache")]
    main(["extract", str(tmp_path), *image, "--workers", "1"])
    assert capsys.readouterr().err.replace("\n", " ").count("25 frames/s are assumed") == 1
    main(["predict", str(trained), str(videos), "--out", str(tmp_path / "labels")])
    assert capsys.readouterr().err.replace("\n", " ").count("25 frames/s are assumed") == 1


def test_timestamps_that_run_backward_are_said(film: Path) -> None:
    info = probe(film)
    times = np.arange(N) / 30
    assert describe_oddities(info, times, False, ()) == {}
    times[[7, 8]] = times[[8, 7]]
    said = describe_oddities(info, times, False, ())
    assert "run backward 1 times, first after frame 7" in said["times-backward"]
