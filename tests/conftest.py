"""What more than one test file needs."""

import dataclasses
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from dolorim import api, terminal
from dolorim.cli import main
from dolorim.inference.run_folder import RunFolder
from dolorim.reporting import figures
from dolorim.simulate.study import StudyPlan, simulate_study

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Without the extra `review` there is no server to test.
_SERVED = ("server", "browser", "hands", "keyboards", "unfinished", "room", "notes")
_NEED_A_SERVER = [*(f"test_review_{name}.py" for name in _SERVED), "test_studio_*.py"]
collect_ignore_glob = [] if find_spec("uvicorn") else _NEED_A_SERVER

# How long drawing an example takes says more about the machine than about the code.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")

torch.set_num_threads(1)  # tests run side by side; threads on top of that only wait for each other


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium; tests that need it are skipped where there is none."""
    from browsing import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def modules(browser: "Browser", place: Path) -> "Iterator[Page]":
    """A page that can import the modules of the labeling room; `place` is what it shows."""
    from browsing import visiting
    from reviewing import serving

    with serving(place, "modules") as served, visiting(browser) as visit:
        yield visit(served.url)


@pytest.fixture(scope="session", autouse=True)
def _one_worker() -> Iterator[None]:
    """Tests run side by side on all cores, so a command starts no worker processes by itself: each
    would import everything once more. Tests of workers say how many they want."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_figures() -> Iterator[None]:
    """Drawing the figures of a run takes as long as a short training. Tests of figures draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "draw_evaluation", lambda *evaluation: [])
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time of a report; tests that look at no figure get a dot."""

    def draw(results: object, folder: Path) -> list[Path]:
        folder.mkdir(parents=True)
        Image.new("L", (1, 1)).save(folder / "answer.png")
        return [folder / "answer.png"]

    monkeypatch.setattr("dolorim.reporting.study_report.draw_study", draw)


@pytest.fixture(autouse=True)
def _talkative() -> None:
    """A command that was run with --quiet must not silence the next test."""
    terminal.be_quiet(False)


@pytest.fixture
def real_data() -> Path:
    """The folder of public recordings beside the repository; a test that asks for it is skipped
    where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here (shared/data)")
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated study: five small mice with two trials of 90 frames each."""
    plan = StudyPlan(animals=5, trials=2, trial_length=90, size_px=160, seed=3)
    return simulate_study(tmp_path_factory.mktemp("study"), plan)


@pytest.fixture(scope="session")
def frame_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One frame cache for tests that ask nothing about caches."""
    return tmp_path_factory.mktemp("frame_cache")


@pytest.fixture(scope="session")
def trained(study: Path, frame_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, trained for two quick epochs on the simulated study through the command
    line.
    """
    folder = tmp_path_factory.mktemp("trained")
    command = [
        "train",
        "video",
        "--videos",
        str(study / "Videos"),
        "--annotations",
        str(study / "Annotations"),
    ]
    command += [
        "--run",
        str(folder / "run"),
        "--cache",
        str(frame_cache),
        "--trial_length",
        "90",
        "--quiet",
    ]
    command += [
        "--image_size",
        "32",
        "--clip_length",
        "8",
        "--epochs",
        "2",
        "--batch_size",
        "8",
        "--accelerator",
        "cpu",
    ]
    assert main(command) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def quick_run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a linear head on the simulated study, from the frames that `trained` has cached."""
    run = tmp_path_factory.mktemp("quick") / "run"
    config = RunFolder(trained).read_config()
    linear = dataclasses.replace(config, model=dataclasses.replace(config.model, head="linear"))
    return api.train_config(linear, run).path
