"""Quick heads label a video that was seen before without decoding it, and label it the same."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dolorim import api
from dolorim.cli import main
from dolorim.config import config_toml
from dolorim.inference.inputs import find_inputs
from dolorim.inference.predict_batch import predict_videos
from dolorim.inference.predict_options import PredictOptions
from dolorim.inference.predict_worker import PredictSetup, video_predictor
from dolorim.inference.run_folder import RunFolder
from dolorim.video import cache, reader
from racks import rack_film

NAMES = ("predictions.csv", "bouts.csv", "meta.json")


@pytest.fixture
def run(quick_run: Path, tmp_path: Path) -> Path:
    """The run of a linear head, with a cache of its own, which is empty."""
    return with_settings(quick_run, tmp_path / "run", cache=tmp_path / "cache")


def with_settings(run: Path, copy: Path, **data: object) -> Path:
    shutil.copytree(run, copy)
    config = RunFolder(copy).read_config()
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **data))  # type: ignore[arg-type]
    (copy / "config.toml").write_text(config_toml(config), encoding="utf-8")
    (copy / "paths.json").unlink(missing_ok=True)
    return copy


@pytest.fixture
def nothing_decodes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, whoever asks for all frames of a video fails."""

    def refuse(self: object) -> Iterator[object]:
        raise AssertionError("a video is decoded")

    def begin() -> None:
        monkeypatch.setattr(reader.FrameStream, "__iter__", refuse)

    return begin


def results(folder: Path, stem: str) -> list[bytes]:
    return [(folder / f"{stem}.{name}").read_bytes() for name in NAMES]


def test_the_second_prediction_decodes_nothing_and_says_the_same(
    run: Path, study: Path, tmp_path: Path, nothing_decodes: Callable[[], None]
) -> None:
    video = sorted((study / "Videos").glob("*.mp4"))[0]
    api.predict(run, video, out=tmp_path / "first")
    assert list((tmp_path / "cache").glob("*/features-frames-*.npy"))
    assert not list((tmp_path / "cache").glob("*/images.u8"))
    nothing_decodes()
    api.predict(run, video, out=tmp_path / "second", overlay=False)
    first, second = (results(tmp_path / name, video.stem) for name in ("first", "second"))
    assert first == second


@pytest.mark.parametrize("rate_hz", [24.0, 60.0])
def test_so_it_is_on_a_grid_of_another_rate(
    quick_run: Path,
    study: Path,
    tmp_path: Path,
    rate_hz: float,
    nothing_decodes: Callable[[], None],
) -> None:
    run = with_settings(quick_run, tmp_path / "run", cache=tmp_path / "cache", run_rate_hz=rate_hz)
    video = sorted((study / "Videos").glob("*.mp4"))[1]
    api.predict(run, video, out=tmp_path / "first")
    nothing_decodes()
    api.predict(run, video, out=tmp_path / "second")
    first, second = (results(tmp_path / name, video.stem) for name in ("first", "second"))
    assert first == second


def test_chambers_are_stored_each_and_an_empty_one_stays_empty(
    run: Path, tmp_path: Path, nothing_decodes: Callable[[], None]
) -> None:
    rack = rack_film(tmp_path / "cage.mp4", n_frames=40, empty=(3,))
    api.predict(run, rack, out=tmp_path / "first", chambers="2x2")
    nothing_decodes()
    batch = api.predict(run, rack, out=tmp_path / "second", chambers="2x2")
    assert (len(batch.done), batch.failed) == (4, [])
    for name in ("A1", "B2"):
        first = results(tmp_path / "first", f"cage.{name}")
        assert first == results(tmp_path / "second", f"cage.{name}")


def test_parts_of_a_long_video_store_what_the_whole_stores(
    run: Path, quick_run: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorim.inference.predict_batch.UNIT", 64)
    monkeypatch.setattr("dolorim.inference.workers.local.spread", in_this_process)
    whole = with_settings(quick_run, tmp_path / "whole", cache=tmp_path / "cache_of_whole")
    video = sorted((study / "Videos").glob("*.mp4"))[0]
    api.predict(whole, video, out=tmp_path / "one")
    folder = RunFolder(run)
    inputs = find_inputs(folder, [video])
    predict_videos(folder, inputs, tmp_path / "two", PredictOptions(jobs=2), part_units=1)
    assert (tmp_path / "two" / f"{video.stem}.predictions.csv").exists()
    stored = [
        np.load(next((tmp_path / name).glob("*/features-frames-*.npy")))
        for name in ("cache", "cache_of_whole")
    ]
    assert np.array_equal(*stored)


def in_this_process(make, waiting, workers, team):  # type: ignore[no-untyped-def]
    worker = make(0)
    while waiting:
        task = waiting.popleft()
        yield task, worker(task)


def test_videos_that_were_only_predicted_are_learned_from_without_decoding(
    run: Path, study: Path, nothing_decodes: Callable[[], None]
) -> None:
    videos = sorted((study / "Videos").glob("*.mp4"))
    api.predict(run, videos)
    nothing_decodes()
    config = RunFolder(run).read_config()
    again = api.train_config(config, run.parent / "again")
    first, second = (RunFolder(r).read_json("metrics.json") for r in (run, again.path))
    assert first == second


def test_a_cache_that_cannot_be_written_costs_no_label(
    quick_run: Path, study: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    run = with_settings(quick_run, tmp_path / "run", cache=tmp_path / "cache")
    video = sorted((study / "Videos").glob("*.mp4"))[0]
    batch = api.predict(run, video, out=tmp_path / "out")
    assert (len(batch.done), batch.failed) == (1, [])


def test_a_changed_video_is_decoded_again(run: Path, study: Path, tmp_path: Path) -> None:
    one, other, *_ = sorted((study / "Videos").glob("*.mp4"))
    video = tmp_path / "a.mp4"
    shutil.copy(one, video)
    api.predict(run, video, out=tmp_path / "first")
    shutil.copy(other, video)
    api.predict(run, video, out=tmp_path / "second")
    api.predict(run, other, out=tmp_path / "third")
    labels = [
        (tmp_path / folder / f"{stem}.predictions.csv").read_bytes()
        for folder, stem in (("first", "a"), ("second", "a"), ("third", other.stem))
    ]
    assert labels[1] == labels[2] != labels[0]


def test_a_network_gets_pictures_of_what_was_only_predicted(
    run: Path, study: Path, tmp_path: Path
) -> None:
    video = sorted((study / "Videos").glob("*.mp4"))[0]
    api.predict(run, video, out=tmp_path / "out")
    data = RunFolder(run).read_body_lengths().for_crop(RunFolder(run).read_config().data, video)
    entry = cache.load(video, data, pictures=False)
    assert entry is not None
    assert entry.images is None
    assert cache.load(video, data) is None
    assert np.array_equal(cache.build(video, data).centers, entry.centers)


def test_features_are_extracted_in_advance(run: Path, study: Path, tmp_path: Path) -> None:
    command = ["extract", str(study), "--features", "--head", "linear", "--image_size", "32"]
    assert main([*command, "--cache", str(tmp_path / "cache"), "--workers", "1"]) == 0
    predictor = video_predictor(PredictSetup(RunFolder(run), tmp_path))
    recordings = find_inputs(RunFolder(run), [study / "Videos"])
    assert len(recordings) == 5
    assert all(predictor.is_stored(recording) for recording in recordings)
