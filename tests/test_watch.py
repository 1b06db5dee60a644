"""Live labels: every frame is decided on or counted as dropped, and events are debounced."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.event_stream import EventStream
from dolorim.inference.live import Debounce, Latencies, Steps
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import PAIN
from dolorim.models.build import build_recognizer
from dolorim.pose.pose import NO_SKELETON
from dolorim.video.live_frames import LiveSource
from dolorim.video.writer import write_lossless

N_FRAMES, WARM_UP = 45, 15


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright square that moves right, 45 frames at 30 per second."""
    frames = np.full((N_FRAMES, 64, 96), 40, np.uint8)
    for i, frame in enumerate(frames):
        frame[24:40, 10 + i : 26 + i] = 200
    return write_lossless(tmp_path_factory.mktemp("video") / "square.mkv", frames, 30.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    config = Config(data=DataConfig(image_size=32), model=ModelConfig(clip_length=8))
    run = RunFolder(tmp_path_factory.mktemp("run"))
    run.start(config, PAIN, Split(train=("201M",)))
    run.save_model(build_recognizer(config.model, len(PAIN), NO_SKELETON, 32))
    run.write_json("decoder.json", Decoder().to_dict())
    return run


def test_a_file_is_played_at_its_own_rate_and_every_frame_is_labeled_or_dropped(
    run: RunFolder, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["watch", str(run.path), "--camera", str(video), "--warm_up_s", "0.5", "--labels"]
    started = time.perf_counter()
    assert main([*arguments, "--quiet"]) == 0
    assert time.perf_counter() - started > (N_FRAMES - 1) / 30
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    labels = [event for event in events if event["event"] == "label"]
    end = events[-1]
    assert end["event"] == "end"
    assert end["frames"] == len(labels)
    # Half a second at 30 frames/s is 16 frames, the first and the last included.
    assert len(labels) + end["dropped"] == N_FRAMES - WARM_UP - 1
    assert 0 < end["latency_ms"]["p50"] <= end["latency_ms"]["p99"]
    assert {event["class"] for event in labels} <= set(PAIN.classes)


def test_a_class_begins_when_it_has_lasted_and_the_event_names_its_first_frame() -> None:
    debounce, events = Debounce(("rest", "lick"), 0.1), []
    labels = [0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1]
    for frame, label in enumerate(labels):
        events += [
            (e["event"], e["class"], e["frame"]) for e in debounce.events(label, frame, frame / 30)
        ]
    assert events == [("onset", "rest", 0), ("offset", "rest", 6), ("onset", "lick", 6)]


def test_latencies_are_percentiles_in_milliseconds() -> None:
    latencies = Latencies()
    assert latencies.percentile(0.5) is None
    for ms in range(1, 101):
        latencies.add(ms / 1000)
    assert latencies.percentile(0.5) == 50
    assert latencies.percentile(0.99) == 99


@pytest.mark.parametrize(("camera_hz", "n_steps"), [(15, 59), (30, 30), (60, 15)])
def test_a_camera_of_another_rate_makes_the_steps_of_the_run(camera_hz: int, n_steps: int) -> None:
    steps = Steps(30.0)
    assert abs(sum(steps.due(i / camera_hz) for i in range(30)) - n_steps) <= 1


def test_whoever_connects_gets_the_events_and_one_that_leaves_stops_nothing() -> None:
    with EventStream("127.0.0.1:0") as stream:
        with socket.create_connection(("127.0.0.1", stream.port or 0), timeout=5) as client:
            deadline = time.monotonic() + 5
            client.settimeout(0.05)
            received = b""
            # The connection is taken by another thread, so the first events may go to nobody.
            while not received and time.monotonic() < deadline:
                stream.send({"event": "onset", "class": "paw_lick"})
                try:
                    received = client.recv(1000)
                except TimeoutError:
                    continue
        assert json.loads(received.splitlines()[0])["class"] == "paw_lick"
        for _ in range(3):
            stream.send({"event": "offset", "class": "paw_lick"})
    with pytest.raises(UserError, match="expected HOST:PORT"):
        EventStream("nowhere")


def test_what_is_no_camera_is_refused(run: RunFolder) -> None:
    with pytest.raises(UserError, match="expected the number of a camera"):
        LiveSource("missing.mp4")
    assert main(["watch", str(run.path), "--camera", "987654", "--quiet"]) == 2
