"""What happens beside the training steps: averages, checkpoints, the time limit, a line an epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar

from dolorim.data.sampling import BoutSampler, Turns
from dolorim.engine.module import Learner
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.talk import say


def average(decay: float, averages: list[torch.Tensor], now: list[torch.Tensor], steps: torch.Tensor | int) -> None:
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

    def __init__(self, samplers: Sequence[BoutSampler | Turns]) -> None:
        self._samplers = samplers

    def setup(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        for sampler in self._samplers:
            sampler.rank, sampler.world_size = trainer.global_rank, trainer.world_size


class TimeLimit(Callback):
    """Ends training when `--max_minutes` have passed; the learning rate has been brought down by then."""

    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, *_: Any) -> None:
        if isinstance(learner, Learner) and learner.time_share >= 1:
            trainer.should_stop = True


class Lines(Callback):
    """One line an epoch, for logs and for whoever has no terminal."""

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        found = [f"loss {values.get('train/loss_epoch', float('nan')):.3f}"]
        found += [f"{k.removeprefix('val/')} {v:.3f}" for k, v in values.items() if k.startswith("val/")]
        seconds = time.monotonic() - self._since
        say(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(found)} ({seconds:.0f} s)")


class ProgressBar(TQDMProgressBar):
    """The bar of an epoch, without the number of the log folder."""

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        return {k: v for k, v in super().get_metrics(*args).items() if k != "v_num"}
