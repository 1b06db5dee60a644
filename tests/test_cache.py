"""The frame cache: a video is decoded once, and never is something stale, foreign or half-written
taken for it."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim import terminal
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.extract import extract
from dolorim.video import cache
from dolorim.video.crop_stream import open_crops
from dolorim.video.reader import probe
from videos import numbered, write_film

N, SIDE = 30, 32
FILES = ["images.u8", "centers.npy", "turns.npy", "time_s.npy", "meta.json"]


@pytest.fixture
def config(tmp_path):
    return DataConfig(cache=tmp_path / "cache", image_size=SIDE, crop="none")


@pytest.fixture
def video(tmp_path):
    return write_film(tmp_path / "videos" / "a.mp4", numbered(N), options={"preset": "ultrafast"})


def entry_of(config) -> Path:
    (folder,) = config.cache.glob("[!.]*")
    return folder


def forbid_decoding(monkeypatch):
    def fail(*args, **options):
        raise AssertionError("a video was decoded again")

    monkeypatch.setattr(cache, "cut_together", fail)


@pytest.mark.parametrize("crop", ["none", "follow"])
def test_an_entry_holds_the_crops_of_every_frame_with_their_centers_and_times(config, video, crop):
    config = DataConfig(cache=config.cache, image_size=SIDE, crop=crop)
    entry = cache.build(video, config)
    blocks = list(open_crops(video, config))
    assert entry.n_frames == N
    assert np.array_equal(entry.images, np.concatenate([b.images for b in blocks]))
    assert np.array_equal(entry.centers, np.concatenate([b.centers for b in blocks]))
    assert np.array_equal(entry.time_s, np.concatenate([b.time_s for b in blocks]))
    assert entry.damage is None


def test_a_video_is_decoded_once_and_not_a_second_time(config, video, monkeypatch):
    first, _ = extract([video], config)
    forbid_decoding(monkeypatch)
    second, failures = extract([video], config)
    assert np.array_equal(first[video].images, second[video].images)
    assert failures == []


def test_a_video_that_has_changed_is_decoded_again(config, video):
    old = extract([video], config)[0][video]
    before = np.array(old.images)
    write_film(video, numbered(N + 7)[::-1])
    assert cache.load(video, config) is None
    new = extract([video], config)[0][video]
    assert new.n_frames == N + 7
    assert not np.array_equal(new.images[:N], before)


def test_other_bytes_of_the_same_length_and_date_are_noticed(config, video):
    cache.build(video, config)
    status, raw = video.stat(), bytearray(video.read_bytes())
    raw[-1] ^= 1
    video.write_bytes(raw)
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.load(video, config) is None


@pytest.mark.parametrize("name", FILES)
def test_an_entry_with_a_missing_file_is_built_anew(config, video, name):
    whole = np.array(cache.build(video, config).images)
    (entry_of(config) / name).unlink()
    assert cache.load(video, config) is None
    assert np.array_equal(extract([video], config)[0][video].images, whole)


@pytest.fixture(scope="module")
def whole_entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    config = DataConfig(cache=folder / "cache", image_size=SIDE, crop="none")
    video = write_film(folder / "a.mp4", numbered(N), options={"preset": "ultrafast"})
    cache.build(video, config)
    return video, config


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(FILES), share=st.floats(0, 0.99))
def test_an_entry_that_was_cut_off_anywhere_is_noticed(whole_entry, name, share):
    video, config = whole_entry
    path = entry_of(config) / name
    raw = path.read_bytes()
    try:
        path.write_bytes(raw[: int(len(raw) * share)])
        assert cache.load(video, config) is None
    finally:
        path.write_bytes(raw)
    assert cache.load(video, config) is not None


def test_an_entry_with_more_pictures_than_frames_is_noticed(config, video):
    cache.build(video, config)
    with open(entry_of(config) / "images.u8", "ab") as file:
        file.write(bytes(SIDE * SIDE))
    assert cache.load(video, config) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"version": 1}', "\x00\x00"])
def test_an_entry_whose_description_makes_no_sense_is_built_anew(config, video, text):
    cache.build(video, config)
    (entry_of(config) / "meta.json").write_text(text)
    assert cache.load(video, config) is None
    assert list(extract([video], config)[0]) == [video]


@pytest.mark.parametrize("change", [{"crop": "follow"}, {"image_size": 48}, {"mask": "0,0,64,8"}])
def test_another_way_to_look_at_a_video_is_another_entry(config, video, change):
    first = cache.build(video, config)
    other = DataConfig(**{"cache": config.cache, "image_size": SIDE, "crop": "none", **change})
    assert cache.load(video, other) is None
    second = cache.build(video, other)
    assert len(list(config.cache.glob("[!.]*"))) == 2
    assert not np.array_equal(first.images, second.images)
    assert np.array_equal(cache.load(video, config).images, first.images)


@pytest.mark.parametrize("change", [{"crop_scale": 3.0}, {"body_length_px": 40}])
def test_a_wider_follow_crop_is_another_entry(config, video, change):
    cache.build(video, DataConfig(cache=config.cache, image_size=SIDE))
    assert cache.load(video, DataConfig(cache=config.cache, image_size=SIDE, **change)) is None


def test_what_has_nothing_to_do_with_the_picture_keeps_the_entry(config, video):
    cache.build(video, config)
    assert (
        cache.load(
            video, DataConfig(cache=config.cache, image_size=SIDE, crop="none", trial_length=90)
        )
        is not None
    )


def test_two_videos_of_one_name_in_two_folders_have_two_entries(config, video):
    other = write_film(video.parents[1] / "more" / video.name, numbered(N)[::-1])
    cached, _ = extract([video, other], config)
    assert len(list(config.cache.glob("[!.]*"))) == 2
    assert not np.array_equal(cached[video].images, cached[other].images)


def test_what_an_interrupted_run_left_behind_is_not_taken_for_an_entry(config, video):
    cache.build(video, config)
    folder = entry_of(config)
    folder.rename(folder.with_name(f"{folder.name}.4711.part"))
    assert cache.load(video, config) is None
    assert extract([video], config)[0][video].n_frames == N


def test_entries_of_an_older_version_of_the_program_are_stale(config, video, monkeypatch):
    cache.build(video, config)
    monkeypatch.setattr(cache, "_VERSION", cache._VERSION + 1)
    assert cache.load(video, config) is None
    cache.build(video, config)
    assert cache.load(video, config) is not None


class FullDisk:
    """A file on a disk that is full after its first bytes."""

    def __init__(self, file):
        self._file = file

    def write(self, data):
        self._file.write(bytes(data)[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def test_a_disk_that_fills_up_is_told_in_one_line_and_leaves_no_half_entry(
    config, video, monkeypatch
):
    def open_on_full_disk(path, mode):
        file = open(path, mode)  # noqa: SIM115
        return FullDisk(file) if mode == "wb" else file

    monkeypatch.setattr(cache, "open", open_on_full_disk, raising=False)
    with pytest.raises(
        UserError, match=r"cannot be written \(No space left on device\); .*--cache DIR$"
    ):
        cache.build(video, config)
    assert list(config.cache.glob("[!.]*")) == []
    assert "No space left" in extract([video], config)[1][0][1]


def test_a_disk_that_fills_up_leaves_the_entry_that_was_there(config, video, monkeypatch):
    cache.build(video, config)

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(cache.np, "save", fail)
        with pytest.raises(UserError, match="No space left"):
            cache.build(video, config)
    assert cache.load(video, config) is not None


def test_an_entry_tells_of_the_videos_damage(config, real_data):
    entry = cache.build(real_data / "odd_videos" / "corrupted.mp4", config)
    assert entry.n_frames == 28
    assert entry.damage.startswith("damaged: 28 frames decode")


@pytest.fixture
def three_videos(tmp_path):
    """Two good videos and between them a text file with a video's name."""
    folder = tmp_path / "videos"
    one = write_film(folder / "one.mp4", numbered(20), options={"preset": "ultrafast"})
    bad = folder / "two.mp4"
    bad.write_text("mouse 2 escaped")
    three = write_film(folder / "three.mp4", numbered(25)[::-1], options={"preset": "ultrafast"})
    return [one, bad, three]


def test_two_workers_extract_what_one_does_and_a_bad_video_stops_neither(tmp_path, three_videos):
    one, bad, three = three_videos
    results = []
    for workers in (1, 2):
        config = DataConfig(cache=tmp_path / f"cache{workers}", image_size=SIDE)
        cached, failures = extract(three_videos, config, workers)
        assert list(cached) == [one, three]
        assert [v for v, _ in failures] == [bad]
        assert failures[0][1].startswith(f"{bad}: cannot be opened as a video")
        assert not list(config.cache.glob("*.part"))
        results.append(cached)
    for video in (one, three):
        assert all(
            np.array_equal(getattr(results[0][video], part), getattr(results[1][video], part))
            for part in ("images", "centers", "time_s")
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_fails_only_while_it_is_read_is_named_and_the_others_go_on(
    tmp_path, video, workers
):
    config = DataConfig(cache=tmp_path / "cache", image_size=SIDE, crop="none")
    blocked = write_film(tmp_path / "videos" / "blocked.mp4", numbered(5))
    entry = cache.entry_folder(blocked, config, None)
    entry.parent.mkdir()
    entry.write_text("a file where the entry's folder should be")
    cached, failures = extract([blocked, video], config, workers)
    assert list(cached) == [video]
    assert [v for v, _ in failures] == [blocked]
    assert "the frame cache cannot be written" in failures[0][1]


def test_a_cache_folder_that_cannot_be_made_is_told_in_one_line(tmp_path, video):
    (tmp_path / "taken").write_text("a file")
    config = DataConfig(cache=tmp_path / "taken" / "cache", image_size=SIDE)
    with pytest.raises(UserError, match=r"^[^\n]*taken[^\n]*cannot be made[^\n]*--cache DIR$"):
        extract([video], config)


def test_a_cache_folder_that_cannot_be_written_fails_with_the_folders_name(tmp_path, video):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("permissions do not bind this user")
    cached, failures = extract([video], DataConfig(cache=folder, image_size=SIDE))
    assert cached == {}
    assert str(folder) in failures[0][1]
    assert "cannot be written" in failures[0][1]


def test_the_space_that_an_entry_takes_is_announced_and_right(config, video, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "_quiet", False)
    config = DataConfig(cache=config.cache, image_size=400, crop="none")
    needed = cache.bytes_needed(probe(video), config)
    extract([video], config)
    assert needed == (entry_of(config) / "images.u8").stat().st_size == N * 400 * 400
    said = capsys.readouterr().err
    assert "about 5 MB" in said
    assert str(config.cache) in said


def test_nothing_is_announced_where_nothing_is_to_be_done(config, video, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "_quiet", False)
    extract([video], config)
    capsys.readouterr()
    extract([video], config)
    assert capsys.readouterr().err == ""


def test_too_little_space_is_told_before_anything_is_decoded(config, video, monkeypatch):
    usage = shutil.disk_usage(video)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=N * SIDE * SIDE - 1))
    forbid_decoding(monkeypatch)
    with pytest.raises(UserError, match=r"are needed, .* are free"):
        extract([video], config)


def test_the_cache_lies_where_the_setting_says_or_else_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DOLORIM_CACHE", str(tmp_path / "environment"))
    assert cache.cache_folder(DataConfig(cache=tmp_path / "setting")) == tmp_path / "setting"
    assert cache.cache_folder(DataConfig()) == tmp_path / "environment"


def test_an_entry_describes_itself_in_readable_json(config, video):
    cache.build(video, config)
    meta = json.loads((entry_of(config) / "meta.json").read_text("utf-8"))
    assert meta["video"] == str(video)
    assert meta["n_frames"] == N
