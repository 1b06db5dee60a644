"""What happens besides the training steps: averages, checkpoints, time limit, log lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar

from dolorim.config import TrainConfig
from dolorim.dataset.keypoint_frames import KeypointFrames
from dolorim.dataset.sampling import BoutSampler, DividedNumbers
from dolorim.inference.run_folder import RunFolder, TrainingRecord
from dolorim.terminal import say
from dolorim.training.module import Learner

_ANNEALED = 0.1  # share of the peak learning rate below which more epochs only polish


def average(
    decay: float, averages: list[torch.Tensor], now: list[torch.Tensor], steps: torch.Tensor | int
) -> None:
    """One step of an exponential moving average of tensors of one type, in place.

    Whole numbers (indices, counts) are copied, because an average of them would be rounded down.
    """
    if averages[0].is_floating_point():
        # It decays faster after few steps. Otherwise a short run would be averaged with the random
        # weights that it began with.
        decay = min(decay, (1 + int(steps)) / (10 + int(steps)))
        torch._foreach_lerp_(averages, now, 1 - decay)
    else:
        torch._foreach_copy_(averages, now)


def checkpoints(run: RunFolder, validated: bool) -> ModelCheckpoint:
    """Keeps the last epoch, and, with validation, the one with the best macro-F1."""
    folder = run.last_checkpoint.parent
    if not validated:
        return ModelCheckpoint(folder, "last", enable_version_counter=False)
    return ModelCheckpoint(
        folder,
        "best",
        monitor="val/macro_f1",
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )


class SamplerRanks(Callback):
    """Gives every process its own windows and recordings where several devices train together."""

    def __init__(self, samplers: Sequence[BoutSampler | KeypointFrames | DividedNumbers]) -> None:
        self._samplers = samplers

    def setup(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        for sampler in self._samplers:
            sampler.rank, sampler.world_size = trainer.global_rank, trainer.world_size


class TimeLimit(Callback):
    """Ends training after `--max_minutes`; the learning rate has come down by then."""

    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, *_: Any) -> None:
        at_the_end = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if isinstance(learner, Learner) and learner.time_share >= 1 and not at_the_end:
            trainer.should_stop = True
            learner.ended_by = "max_minutes"


class Patience(EarlyStopping):
    """Ends training when the validation score has not risen for some epochs.

    Epochs do not count while a cosine schedule keeps the learning rate high: the best is still to
    come.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__("val/macro_f1", mode="max", patience=epochs)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._check_if_annealed(super().on_validation_end, trainer, learner)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._check_if_annealed(super().on_train_epoch_end, trainer, learner)

    def _check_if_annealed(
        self,
        check: Callable[[pl.Trainer, pl.LightningModule], None],
        trainer: pl.Trainer,
        learner: pl.LightningModule,
    ) -> None:
        assert isinstance(learner, Learner)
        if not learner.anneals or learner.annealing < _ANNEALED:
            stopped_before = trainer.should_stop
            check(trainer, learner)
            if trainer.should_stop and not stopped_before:
                learner.ended_by = "patience"


class FarEnough(Callback):
    """Ends training once the validation score has reached `--stop_at_f1`."""

    def __init__(self, macro_f1: float) -> None:
        self._macro_f1 = macro_f1

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        if float(trainer.callback_metrics["val/macro_f1"]) >= self._macro_f1:
            trainer.should_stop = True
            learner.ended_by = "stop_at_f1"


def record_of(learner: Learner) -> TrainingRecord:
    """How training ended, which is also said."""
    settings, epoch = learner.config.train, learner.trainer.current_epoch
    minutes = round(learner.spent_s / 60, 1)
    record = TrainingRecord(epoch, settings.epochs, learner.ended_by, minutes)
    say(ending_text(record, settings))
    return record


def ending_text(record: TrainingRecord, settings: TrainConfig) -> str:
    """In which epoch training ended, and why, in one sentence."""
    epochs = f"epoch {record.epoch} of {record.epochs}"
    match record.ended_by:
        case "max_minutes":
            return (
                f"--max_minutes {settings.max_minutes:g} ended training in {epochs}; the learning "
                "rate had come down by then, but more time may give a better run"
            )
        case "patience":
            return (
                f"training ended after {epochs}: no better validation macro-F1 in "
                f"{settings.early_stopping_patience} epochs"
            )
        case "stop_at_f1":
            return (
                f"training ended after {epochs}: validation macro-F1 reached "
                f"{settings.stop_at_f1:g} (--stop_at_f1)"
            )
    text = f"training ended after {epochs}: all epochs are done"
    if settings.stop_at_f1:
        text += f"; validation macro-F1 did not reach {settings.stop_at_f1:g} (--stop_at_f1)"
    return text


class EpochLog(Callback):
    """One line per epoch, for log files and wherever there is no terminal."""

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        scores = [f"loss {values.get('train/loss_epoch', float('nan')):.3f}"]
        for name, value in values.items():
            if name.startswith("val/"):
                scores.append(f"{name.removeprefix('val/')} {value:.3f}")
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        say(f"{epoch}: {', '.join(scores)} ({time.monotonic() - self._started:.0f} s)")


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, on stderr, without the number of the log folder."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        metrics = super().get_metrics(*args)
        return {name: value for name, value in metrics.items() if name != "v_num"}
