"""Two processes that train together do what one does with batches of twice the size, and one can
take over from two."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig, config_toml
from dolorim.core.errors import UserError
from dolorim.dataset.sampling import DividedNumbers
from dolorim.inference.run_folder import RunFolder
from dolorim.training.losses import FrameLoss
from dolorim.training.train import train

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX systems")

_TRAIN = """
import os, pathlib, signal, sys
from dolorim.cli import main
from dolorim.training.module import Learner

before = Learner.on_train_epoch_start
here = pathlib.Path(sys.argv[1])

def killed(self):
    before(self)
    (here / f"rank{self.global_rank}").write_text(str(os.getpid()))
    if self.current_epoch == 2 and self.global_rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Learner.on_train_epoch_start = killed
sys.exit(main(sys.argv[2:]))
"""


def settings(study: Path, devices: int) -> Config:
    """A run on poses alone in which nothing depends on how a batch is divided: no dropout, no batch
    normalization."""
    data = DataConfig(
        dlc=study / "DLC",
        annotations=study / "Annotations",
        recordings=study / "recordings.csv",
        trial_length=90,
    )
    model = ModelConfig(
        visual="none", pose="graph", width=16, pose_reach=4, dropout=0.0, modality_dropout=0.0
    )
    loop = TrainConfig(
        epochs=3, batch_size=8 // devices, devices=str(devices), accelerator="cpu", precision="32",
        train_T=15,
        val_animals="202F,204F,205M", test_animals="none", lambda_smooth=0.1, decoder="argmax",
    )  # fmt: skip
    return Config("multimodal", data, model, train=loop)


def command(folder: Path, config: Config) -> list[str]:
    (folder / "asked.toml").write_text(config_toml(config))
    return [
        "train",
        "multimodal",
        "--config",
        str(folder / "asked.toml"),
        "--run",
        str(folder / "run"),
        "--quiet",
    ]


def environment() -> dict[str, str]:
    ours = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return {**os.environ, **ours}


def curves(run: RunFolder) -> dict[str, list[float]]:
    events = EventAccumulator(str(run.path / "logs"))
    events.Reload()
    return {tag: [e.value for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.fixture(scope="module")
def alone(study: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(settings(study, 1), RunFolder(tmp_path_factory.mktemp("alone") / "run"))


def close(one: RunFolder, two: RunFolder, atol: float) -> None:
    mine, theirs = load_file(one.weights), load_file(two.weights)
    for name in mine:
        np.testing.assert_allclose(theirs[name], mine[name], atol=atol)
    figures = [json.loads(run.metrics.read_text()) for run in (one, two)]
    for name in ("frames", "accuracy", "macro_f1", "kappa"):
        assert figures[0]["val"][name] == pytest.approx(figures[1]["val"][name], abs=1e-6)


@posix
def test_two_processes_learn_what_one_learns_with_twice_the_batch(
    study: Path, tmp_path: Path, alone: RunFolder
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dolorim", *command(tmp_path, settings(study, 2))],
        env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    together = RunFolder(tmp_path / "run")
    one, two = curves(alone), curves(together)
    assert len(one["train/loss_epoch"]) == 3
    for tag in ("train/loss_epoch", "val/macro_f1"):
        np.testing.assert_allclose(two[tag], one[tag], atol=1e-6)
    close(alone, together, 1e-4)  # Adam makes much of gradients that are almost 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(set(warnings))  # one process talks
    assert len([*(tmp_path / "run" / "logs").glob("events*")]) == 1  # and one writes


@posix
def test_a_run_on_two_processes_that_was_killed_goes_on_on_one_and_ends_as_if_nothing_had_been(
    study: Path, tmp_path: Path, alone: RunFolder
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(_TRAIN)
    call = [sys.executable, str(script), str(tmp_path), *command(tmp_path, settings(study, 2))]
    done = subprocess.run(call, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL
    run = RunFolder(tmp_path / "run")
    assert run.last_checkpoint.exists()
    assert not run.weights.exists()
    other, until = int((tmp_path / "rank1").read_text()), time.monotonic() + 60
    while _runs(other) and time.monotonic() < until:
        time.sleep(0.2)
    assert not _runs(other)  # nobody waits for ever
    train(settings(study, 1), run)
    close(alone, run, 1e-4)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_only_what_does_the_work_may_change_when_a_run_goes_on(
    study: Path, tmp_path: Path, alone: RunFolder
) -> None:
    run, begun = RunFolder(tmp_path / "run"), settings(study, 2)
    run.start(begun, alone.read_ethogram(), alone.read_split())
    assert (
        run.start(settings(study, 1), alone.read_ethogram(), alone.read_split()) is False
    )  # no checkpoint so far
    other = dataclasses.replace(begun, train=dataclasses.replace(begun.train, lr=1.0))
    with pytest.raises(UserError, match="lr = "):
        run.start(other, alone.read_ethogram(), alone.read_split())
    same = dataclasses.replace(settings(study, 1).train, batch_size=3)
    with pytest.raises(UserError, match="batch_size = 8, not 3"):
        run.start(dataclasses.replace(begun, train=same), alone.read_ethogram(), alone.read_split())


@pytest.mark.parametrize(("n", "processes"), [(5, 2), (1, 3), (6, 3), (0, 2)])
def test_every_recording_has_its_turn_once_and_nobody_has_more_turns_than_another(
    n: int, processes: int
) -> None:
    drawn = []
    for rank in range(processes):
        own = DividedNumbers(n)
        own.rank, own.world_size = rank, processes
        drawn.append(list(own))
        assert len(own) == len(drawn[-1]) == len(drawn[0])
    assert sorted(i for mine in drawn for i in mine if i >= 0) == list(range(n))


def test_the_loss_of_two_halves_is_on_average_that_of_the_whole() -> None:
    loss = FrameLoss(TrainConfig(lambda_smooth=0.5), np.array([0.7, 0.3]))
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 20, 2), torch.randint(-1, 2, (4, 20))
    halves = [(logits[i : i + 2], labels[i : i + 2]) for i in (0, 2)]
    asked: list[list[torch.Tensor]] = [[], []]
    for mine, half in zip(asked, halves, strict=True):

        def over_all(value: torch.Tensor, mine: list[torch.Tensor] = mine) -> torch.Tensor:
            mine.append(value)
            return value

        loss(*half, over_all)
    means = [torch.stack(pair).mean(0) for pair in zip(*asked, strict=True)]
    losses = []
    for half in halves:
        answers = iter(means)
        losses.append(loss(*half, lambda _, answers=answers: next(answers)))
    torch.testing.assert_close(
        torch.stack(losses).mean(), loss(logits, labels, lambda value: value)
    )
