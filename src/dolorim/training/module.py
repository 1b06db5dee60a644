"""The training step, the validation pass and the learning rate, for Lightning's loop."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch

from dolorim.config import Config, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.augmentation import augment
from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording
from dolorim.dataset.windows import Batch
from dolorim.inference.decoder import Decoder
from dolorim.inference.streaming import UNIT, Predictor, compiled_with_fallback
from dolorim.labels.ethogram import Ethogram
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.heads import Keypoints
from dolorim.models.pretrained import Pretrained, freeze, last_blocks
from dolorim.models.recognizer import Inputs, Output, Recognizer
from dolorim.training.losses import FrameLoss, keypoint_loss

if TYPE_CHECKING:
    from dolorim.models.clips import ClipEncoder
    from dolorim.models.vit import Vit2d


T = TypeVar("T")
Step = dict[str, Batch]
# Learning rate of the keypoint head, relative to the rest: a flat heat map is far from a peak, and
# the length of each step is the learning rate.
_HEAD_RATE = 10.0
_LEAST_PROBABILITY = 1e-7  # of a label, so that one frame never makes the loss infinite
_PLATEAU_FACTOR = 0.3  # of the learning rate, at each plateau
_KEYPOINTS_EVERY = 4  # of a window's frames are learned from, as its neighbors show much the same


class Learner(pl.LightningModule):
    """Trains a recognizer.

    `shares` `(classes,)` are those among drawn frames; `val` are the recordings to validate on. All
    that is random in a step follows from the seed, the epoch, the step and the rank, and not from
    earlier steps, so an interrupted run ends as an uninterrupted one does. Processes that train
    together decide alike on whatever concerns them all: which stream a batch lacks, whether the
    loss is a number, when the time is over.
    """

    def __init__(
        self,
        model: Recognizer,
        config: Config,
        ethogram: Ethogram,
        shares: np.ndarray,
        input_spec: InputSpec,
        val: Sequence[LabelledRecording] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.ethogram = ethogram
        self.shares = shares
        self.input_spec = input_spec
        self.val = val
        self.loss = FrameLoss(config.train, shares)
        self.plateau = Plateau()
        # How probabilities are corrected before anything is fitted to validation animals.
        self.decoder = Decoder()
        # Methods, and not the model itself, which would be registered and saved a second time.
        self._recognize: Callable[..., Output] = self._compiled(model.forward)
        self._find_keypoints: Callable[..., Keypoints] = self._compiled(model.find_keypoints)
        self._spent_s = 0.0  # in earlier sessions of this run
        self._started = time.monotonic()
        self._resumed_at = (0, 0.0)  # step, and share of the epochs done by then
        # Share of --max_minutes that has passed, the same for all processes; 0 without a limit.
        self.time_share = 0.0
        self.annealing = 1.0  # learning rate as a share of its peak, apart from warm-up
        self.ended_by: Literal["epochs", "max_minutes", "patience", "stop_at_f1"] = "epochs"
        self._counts = self._no_counts()
        self._surprise = np.zeros(2)  # summed loss of validation frames, and their number

    def _compiled(self, method: Callable[..., T]) -> Callable[..., T]:
        return compiled_with_fallback(method) if self.config.train.compile else method

    def training_step(self, step: Step, index: int) -> torch.Tensor:
        """Learn from a batch of `windows`, of single tracked `keypoint_frames`, or of both."""
        torch.manual_seed(self._seed_of(self.global_rank))  # for dropout
        changed = {
            name: augment(batch, self.config.augment, self.ethogram.mirrored)
            for name, batch in step.items()
        }
        losses = []
        if "windows" in changed:
            # All processes use the seed of the first, so that their batches lack the same stream.
            losses.append(self._loss_of_windows(changed["windows"], self._seed_of(0)))
        if "keypoint_frames" in changed:
            frames = changed["keypoint_frames"]
            keypoints = self._find_keypoints(frames["frames"][:, None])
            losses.append(self._loss_of_keypoints(keypoints, frames["points"], frames["valid"]))
        loss = torch.stack(losses).sum()
        together = self._over_all(loss.detach().clone())
        if not torch.isfinite(together):
            raise UserError(
                f"the loss became {together.item()} in epoch {self.current_epoch + 1}, step "
                f"{self.global_step}; the checkpoint of the previous epoch is kept. "
                f"Try a lower --lr (now {self.config.train.lr:g}) or --precision 32"
            )
        self.log("train/loss", together, prog_bar=True, on_step=True, on_epoch=True, batch_size=1)
        return loss

    def _seed_of(self, rank: int) -> int:
        entropy = [self.config.train.seed, self.global_step, rank]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _loss_of_windows(self, batch: Batch, seed: int) -> torch.Tensor:
        settings = self.config.train
        every = 0 if settings.kp_frames or not settings.lambda_kp else _KEYPOINTS_EVERY
        inputs = self._with_one_stream_left_out(inputs_of(batch), seed)
        output = self._recognize(inputs, batch["valid"], halo=True, maps=every)
        loss = self.loss(output.actions, batch["labels"], self._over_all)
        if output.keypoints is None:
            return loss
        points, valid = batch["points"][:, ::every], batch["valid"][:, ::every]
        return loss + self._loss_of_keypoints(output.keypoints, points, valid)

    def _loss_of_keypoints(
        self, keypoints: Keypoints, points: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        settings = self.config.train
        loss = keypoint_loss(keypoints, points, valid, self._over_all, settings.lambda_kp_map)
        self.log("train/keypoints", loss, on_step=False, on_epoch=True, batch_size=1)
        return settings.lambda_kp * loss

    def _with_one_stream_left_out(self, inputs: Inputs, seed: int) -> Inputs:
        """The inputs, without the pose or without the picture for a share of the batches."""
        share = self.config.model.modality_dropout
        has_picture = inputs.frames is not None or inputs.features is not None
        drawn = np.random.default_rng(seed).random()
        if inputs.pose is None or not has_picture or drawn >= share:
            return inputs
        if drawn < share / 2:
            features = inputs.features
            if features is not None and isinstance(self.model.visual, Pretrained):
                features = self.model.visual.without_points(features)
            return dataclasses.replace(inputs, pose=None, points=None, features=features)
        return dataclasses.replace(inputs, frames=None, features=None, points=None)

    def _over_all(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of a value over the processes that train together."""
        if self.trainer.world_size == 1:
            return value
        return self.trainer.strategy.reduce(value.detach(), reduce_op="mean")

    def on_train_epoch_start(self) -> None:
        thaw(self.model.visual, self.config.model, self.current_epoch)

    def on_train_batch_start(self, step: Step, index: int) -> None:
        minutes = self.config.train.max_minutes
        if minutes:
            share = torch.tensor(self.spent_s / (60 * minutes), device=self.device)
            self.time_share = float(self._over_all(share))

    def validation_step(self, recording: int, index: int) -> None:
        if recording < 0:  # the other processes have one more
            return
        labelled = self.val[recording]
        settings = self.config.train
        read = settings.val_T or UNIT
        predictor = Predictor(
            self.model, self.input_spec, self.device, settings.precision, read=read, fold=False
        )
        probabilities = predictor(labelled).probabilities
        labels = labelled.recording.labels
        self._counts += confusion(labels, probabilities.argmax(1), len(self.ethogram))
        known = np.flatnonzero(labels >= 0)
        chances = np.maximum(probabilities[known, labels[known]], _LEAST_PROBABILITY)
        self._surprise += -float(np.log(chances).sum()), len(known)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.world_size > 1:
            counts = torch.from_numpy(self._counts).to(self.device)
            self._counts = self.trainer.strategy.reduce(counts, reduce_op="sum").cpu().numpy()
            surprise = torch.from_numpy(self._surprise).to(self.device)
            self._surprise = self.trainer.strategy.reduce(surprise, reduce_op="sum").cpu().numpy()
        scores = frame_scores(self._counts, self.ethogram.classes)
        loss, frames = self._surprise
        self._counts, self._surprise = self._no_counts(), np.zeros(2)
        self.log("val/loss", float(loss / max(frames, 1)))
        # For the logs alone: the line of an epoch would become too long.
        for name, score in scores["per_class"].items():
            self.log(f"val_f1/{name}", score["f1"])
        self.log("val/macro_f1", scores["macro_f1"], prog_bar=True)
        if self.ethogram.indicator:
            f1 = scores["per_class"][self.ethogram.indicator]["f1"]
            self.log(f"val/f1_{self.ethogram.indicator}", f1, prog_bar=True)
        if not self.trainer.sanity_checking:
            self.plateau = self.plateau.after(scores["macro_f1"])

    def configure_optimizers(self) -> Any:
        settings = self.config.train
        optimizer = torch.optim.AdamW(
            self._groups(), settings.lr, weight_decay=settings.weight_decay
        )
        # With as many processes as there are now; a resumed run may have had another number before.
        total = int(self.trainer.estimated_stepping_batches)
        warm_up = max(1, round(settings.warmup_epochs * total / settings.epochs))

        def factor(step: int) -> float:
            resumed_step, share_done = self._resumed_at
            step = step - resumed_step + round(share_done * total)
            self.annealing = self._annealing(step / total)
            return min(1.0, (step + 1) / warm_up) * self.annealing

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters in groups with a learning rate each; the keypoint head has its own."""
        if self.model.keypoints is None:
            return [{"params": [*self.parameters()]}]
        head = [*self.model.keypoints.parameters()]
        in_head = {id(p) for p in head}
        others = [p for p in self.parameters() if id(p) not in in_head]
        return [{"params": others}, {"params": head, "lr": _HEAD_RATE * self.config.train.lr}]

    def _annealing(self, share: float) -> float:
        """Half a cosine from 1 to almost 0, over the steps or the time, whichever ends first.

        `share` is that of the steps.
        """
        if not self.anneals:
            return self.plateau.factor
        return 0.5 + 0.49 * math.cos(math.pi * min(1.0, max(share, self.time_share)))

    @property
    def anneals(self) -> bool:
        """Does the learning rate come down independently of the validation score?"""
        return self.config.train.lr_schedule == "cosine"

    @property
    def spent_s(self) -> float:
        """Seconds that this run has trained, earlier sessions included."""
        return self._spent_s + time.monotonic() - self._started

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["learner"] = {
            "spent_s": self.spent_s,
            "plateau": dataclasses.asdict(self.plateau),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._spent_s = checkpoint["learner"]["spent_s"]
        self.plateau = Plateau(**checkpoint["learner"]["plateau"])
        share_done = (checkpoint["epoch"] + 1) / self.config.train.epochs
        self._resumed_at = (checkpoint["global_step"], share_done)

    def _no_counts(self) -> np.ndarray:
        return np.zeros((len(self.ethogram), len(self.ethogram)), np.int64)


def inputs_of(batch: Batch) -> Inputs:
    """The network's inputs out of a batch of windows (`Windows`), after augmentation."""
    points = batch.get("points")
    if points is not None and "hidden" in batch:
        points = points.masked_fill(batch["hidden"][:, None, :, None], math.nan)
    frames = batch.get("frames")
    return Inputs(
        frames=None if frames is None else frames[:, None],
        crop_centers=batch.get("crop_centers"),
        pose=batch.get("pose"),
        pose_inside=batch.get("inside"),
        points=points,
        features=batch.get("features"),
        negative=batch.get("negative"),
    )


def thaw(visual: Cnn3d | Vit2d | ClipEncoder | None, config: ModelConfig, epoch: int) -> None:
    """Let a pretrained encoder learn or freeze it, as the settings say for this epoch."""
    frozen = config.freeze_backbone_epochs < 0 or epoch < config.freeze_backbone_epochs
    if config.encoder and isinstance(visual, Cnn3d):
        for part in visual.single_frames:
            if frozen:
                freeze(part)
            else:
                part.requires_grad_(True).train()
    if not isinstance(visual, Pretrained):
        return
    if frozen:
        freeze(visual)
    elif config.unfreeze_last:
        freeze(visual, last_blocks(visual, config.unfreeze_last))
    else:
        visual.requires_grad_(True).train()


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Lowers the learning rate after `PATIENCE` epochs without a better validation score."""

    factor: float = 1.0
    best: float = -1.0
    waited: int = 0

    PATIENCE: ClassVar[int] = 4

    def after(self, score: float) -> Plateau:
        if score > self.best:
            return Plateau(self.factor, score, 0)
        if self.waited + 1 >= self.PATIENCE:
            return Plateau(_PLATEAU_FACTOR * self.factor, self.best, 0)
        return Plateau(self.factor, self.best, self.waited + 1)
