"""Any frame by its exact index, whatever the file is like."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorim.core.errors import UserError
from dolorim.video.random_access import FrameSource, list_packets
from dolorim.video.reader import FrameStream
from videos import number_in, numbered, write_film

N = 130
TIMES_MS = np.cumsum(np.random.default_rng(0).integers(10, 90, N)).tolist()
FILMS: dict[str, dict[str, Any]] = {
    "usual.mp4": {"options": {"g": "40"}},
    "open_gop.mp4": {
        "options": {"g": "30", "x264-params": "open-gop=1:bframes=3:b-pyramid=normal"}
    },
    "variable.mkv": {"options": {"g": "35"}, "times_ms": TIMES_MS},
    "broadcast.ts": {"options": {"g": "30"}},
    "no_timestamps.h264": {"options": {"g": "30"}},
    "old.avi": {"codec": "mpeg4", "options": {"g": "25", "bf": "2"}},
    "pictures.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.mark.parametrize("name", FILMS)
def test_a_jump_shows_the_very_frame(name: str, tmp_path: Path) -> None:
    source = FrameSource(write_film(tmp_path / name, numbered(N), **FILMS[name]))
    wanted = random.Random(0).sample(range(N), 40)
    assert [number_in(source.read(i)[0].gray) for i in wanted] == wanted
    assert [number_in(f.gray) for f in source.read(20, 12, 3)] == list(range(20, 56, 3))
    assert [number_in(f.gray) for f in source.read(N - 3, 9)] == [N - 3, N - 2, N - 1]
    source.close()


def test_counting_agrees_with_the_packets_of_a_sound_file(tmp_path: Path) -> None:
    source = FrameSource(write_film(tmp_path / "a.mp4", numbered(50), options={"g": "20"}))
    assert source.count() == source.n_frames == 50
    assert source.packets is not None
    assert source.damage is None
    assert source.check(np.arange(50) / 30)


def test_timestamps_that_the_predictions_do_not_know_end_all_jumping(tmp_path: Path) -> None:
    source = FrameSource(write_film(tmp_path / "a.mp4", numbered(120), options={"g": "20"}))
    assert not source.check(np.arange(120) / 25)
    assert source.packets is None
    assert number_in(source.read(101)[0].gray) == 101


def test_a_frame_that_is_not_there_is_refused(tmp_path: Path) -> None:
    source = FrameSource(write_film(tmp_path / "a.mp4", numbered(20)))
    with pytest.raises(UserError, match="frame 20 does not exist"):
        source.read(20)


def test_a_file_cut_short_shows_what_decodes(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "a.ts", numbered(120), options={"g": "20"})
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    source = FrameSource(cut)
    truth = [number_in(f.gray) for f in FrameStream(cut)]
    assert 0 < source.count() == len(truth) < 120
    for i in (0, len(truth) // 2, len(truth) - 1):
        assert number_in(source.read(i)[0].gray) == truth[i]


def test_real_odd_files_are_jumped_in_as_they_are_read(real_data: Path) -> None:
    for path in sorted((real_data / "odd_videos").iterdir()):
        truth = [hashlib.md5(f.gray.tobytes()).hexdigest() for f in FrameStream(path)]
        source = FrameSource(path)
        for i in random.Random(1).sample(range(len(truth)), 2):
            assert hashlib.md5(source.read(i)[0].gray.tobytes()).hexdigest() == truth[i], (path, i)
        assert len(truth) == (source.n_frames or len(truth))


def test_the_list_of_packets_needs_no_decoding(tmp_path: Path) -> None:
    packets = list_packets(
        write_film(tmp_path / "a.mp4", numbered(90), options={"g": "30", "sc_threshold": "0"})
    )
    assert packets is not None
    assert packets.time_s.tolist() == pytest.approx((np.arange(90) / 30).tolist())
    assert len(packets.keys) == 3
    assert (packets.bytes[packets.bytes > 0]).size == 87
