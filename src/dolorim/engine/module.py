"""The training step, the validation pass and the learning rate, for Lightning's loop."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np
import torch

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram
from dolorim.data.augment import augment
from dolorim.data.windows import Batch
from dolorim.engine.losses import FrameLoss
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.models.recognizer import Recognizer


class Learner(pl.LightningModule):
    """Trains a recognizer. `shares` `(classes,)` are those among drawn frames.

    Whatever is random in a step follows from the seed, the epoch, the step and the rank, not from what went before,
    so that a run that was interrupted ends as one that was not.
    """

    def __init__(
        self,
        model: Recognizer,
        config: Config,
        ethogram: Ethogram,
        shares: np.ndarray,
    ) -> None:
        super().__init__()
        self.model, self.config, self.ethogram = model, config, ethogram
        self.loss = FrameLoss(config.train, shares)
        self.plateau = Plateau()
        self._spent_s = 0.0  # in earlier sessions of this run
        self._started = time.monotonic()
        self._counts = self._no_counts()

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        seed = int(
            np.random.SeedSequence([self.config.train.seed, self.global_step, self.global_rank]).generate_state(1)[0]
        )
        torch.manual_seed(seed)  # for dropout
        batch = augment(batch, self.config.augment, self.ethogram.mirrored, seed)
        loss = self.loss(self.model(batch["frames"][:, None], batch["track"], halo=True), batch["labels"])
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss became {loss.item()} in epoch {self.current_epoch + 1}, step {self.global_step}; "
                f"the checkpoint of the epoch before is kept. "
                f"Try a lower --lr (now {self.config.train.lr:g}) or --precision 32"
            )
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(batch["labels"]))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = self.model(batch["frames"][:, None].float() / 255, batch["track"], halo=True)
        truth, guess = batch["labels"].cpu().numpy(), logits.argmax(-1).cpu().numpy()
        self._counts += confusion(truth, guess, len(self.ethogram))

    def on_validation_epoch_end(self) -> None:
        scores = frame_scores(self._counts, self.ethogram.classes)
        self._counts = self._no_counts()
        self.log("val/macro_f1", scores["macro_f1"], prog_bar=True)
        if self.ethogram.indicator:
            f1 = scores["per_class"][self.ethogram.indicator]["f1"]
            self.log(f"val/f1_{self.ethogram.indicator}", f1, prog_bar=True)
        if not self.trainer.sanity_checking:
            self.plateau = self.plateau.after(scores["macro_f1"])

    def configure_optimizers(self) -> Any:
        settings = self.config.train
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(self.parameters(), settings.lr, weight_decay=settings.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        warm_up = max(1, round(settings.warmup_epochs * total / settings.epochs))

        def factor(step: int) -> float:
            return min(1.0, (step + 1) / warm_up) * self._annealing(step / total)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _annealing(self, share: float) -> float:
        """Half a cosine from 1 to almost 0 over the share of the steps or of the time allowed, whichever is ahead."""
        if self.config.train.lr_schedule == "plateau":
            return self.plateau.factor
        return 0.5 + 0.49 * math.cos(math.pi * min(1.0, max(share, self.time_share)))

    @property
    def time_share(self) -> float:
        """Share of `--max_minutes` that has passed; 0 without a limit."""
        limit = self.config.train.max_minutes
        return self.spent_s / (60 * limit) if limit else 0.0

    @property
    def spent_s(self) -> float:
        """Seconds that this run has trained, earlier sessions counted in."""
        return self._spent_s + time.monotonic() - self._started

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["learner"] = {"spent_s": self.spent_s, "plateau": dataclasses.asdict(self.plateau)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._spent_s = checkpoint["learner"]["spent_s"]
        self.plateau = Plateau(**checkpoint["learner"]["plateau"])

    def _no_counts(self) -> np.ndarray:
        return np.zeros((len(self.ethogram), len(self.ethogram)), np.int64)


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Lowers the learning rate to 0.3 of what it was after `PATIENCE` epochs without a better validation score."""

    factor: float = 1.0
    best: float = -1.0
    waited: int = 0

    PATIENCE: ClassVar[int] = 4

    def after(self, score: float) -> Plateau:
        if score > self.best:
            return Plateau(self.factor, score, 0)
        if self.waited + 1 >= self.PATIENCE:
            return Plateau(0.3 * self.factor, self.best, 0)
        return Plateau(self.factor, self.best, self.waited + 1)
