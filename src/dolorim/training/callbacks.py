"""What happens beside the training steps: averages, checkpoints, the time limit, a line an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar

from dolorim.dataset.keypoint_frames import KeypointFrames
from dolorim.dataset.sampling import BoutSampler, Turns
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import say
from dolorim.training.module import Learner

ANNEALED = 0.1  # share of the peak learning rate below which more epochs only polish


def average(
    decay: float, averages: list[torch.Tensor], now: list[torch.Tensor], steps: torch.Tensor | int
) -> None:
    """One step of an exponential moving average, in place, of tensors of one type: whole numbers (indices, counts) are
    taken over, as an average of them is rounded down. After few `steps` it decays faster, or a short run would be
    averaged with the random weights that it began with."""
    if averages[0].is_floating_point():
        torch._foreach_lerp_(averages, now, 1 - min(decay, (1 + int(steps)) / (10 + int(steps))))
    else:
        torch._foreach_copy_(averages, now)


def checkpoints(run: RunFolder, validated: bool) -> ModelCheckpoint:
    if not validated:
        return ModelCheckpoint(run.last_checkpoint.parent, "last", enable_version_counter=False)
    return ModelCheckpoint(
        run.last_checkpoint.parent,
        "best",
        monitor="val/macro_f1",
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )


class Ranks(Callback):
    """Gives every process its own windows and recordings where several devices train together."""

    def __init__(self, samplers: Sequence[BoutSampler | KeypointFrames | Turns]) -> None:
        self._samplers = samplers

    def setup(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        for sampler in self._samplers:
            sampler.rank, sampler.world_size = trainer.global_rank, trainer.world_size


class TimeLimit(Callback):
    """Ends training when `--max_minutes` have passed; the learning rate has been brought down by then."""

    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, *_: Any) -> None:
        at_the_end = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if isinstance(learner, Learner) and learner.time_share >= 1 and not at_the_end:
            trainer.should_stop = True
            learner.ended_by = "max_minutes"


class Patience(EarlyStopping):
    """Ends training when the validation score has not risen for some epochs.

    While a cosine schedule still holds the learning rate up, the best is to come, and no epoch counts.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__("val/macro_f1", mode="max", patience=epochs)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._look(super().on_validation_end, trainer, learner)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._look(super().on_train_epoch_end, trainer, learner)

    def _look(
        self,
        check: Callable[[pl.Trainer, pl.LightningModule], None],
        trainer: pl.Trainer,
        learner: pl.LightningModule,
    ) -> None:
        assert isinstance(learner, Learner)
        if not learner.anneals or learner.annealing < ANNEALED:
            stopped = trainer.should_stop
            check(trainer, learner)
            if trainer.should_stop and not stopped:
                learner.ended_by = "patience"


def how_it_ended(learner: Learner) -> dict[str, Any]:
    """What `training.json` holds: the epoch that training reached, of how many, what ended it, and the minutes."""
    settings, reached = learner.config.train, learner.trainer.current_epoch
    if learner.ended_by == "max_minutes":
        say(f"--max_minutes {settings.max_minutes:g} ended training in epoch {reached} of {settings.epochs}, with the "
            f"learning rate brought down by then; more time may give a better run")  # fmt: skip
    elif learner.ended_by == "patience":
        say(f"training ended after epoch {reached} of {settings.epochs}: no better validation macro-F1 in "
            f"{settings.early_stopping_patience} epochs")  # fmt: skip
    minutes = round(learner.spent_s / 60, 1)
    return {
        "epoch": reached,
        "epochs": settings.epochs,
        "ended_by": learner.ended_by,
        "minutes": minutes,
    }


class Lines(Callback):
    """One line an epoch, for logs and for whoever has no terminal."""

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        found = [f"loss {values.get('train/loss_epoch', float('nan')):.3f}"]
        found += [
            f"{k.removeprefix('val/')} {v:.3f}" for k, v in values.items() if k.startswith("val/")
        ]
        seconds = time.monotonic() - self._since
        say(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(found)} ({seconds:.0f} s)"
        )


class ProgressBar(RichProgressBar):
    """The bar of an epoch, on stderr, without the number of the log folder."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        return {k: v for k, v in super().get_metrics(*args).items() if k != "v_num"}
