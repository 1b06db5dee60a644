"""Lightning's training loop for a run: its trainer, its loggers, and its errors as `UserError`."""

from __future__ import annotations

import logging
import pickle
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from dolorim.config import Config, TrainConfig
from dolorim.core.errors import UserError
from dolorim.dataset.loading import learns_points_alone
from dolorim.inference.hardware import Precision, pick_device, pick_precision
from dolorim.inference.run_folder import RunFolder, refuse_other_shapes
from dolorim.models.pretrained import one_line
from dolorim.terminal import say, shows_progress
from dolorim.training.callbacks import (
    EpochLog,
    FarEnough,
    Patience,
    ProgressBar,
    SamplerRanks,
    TimeLimit,
    average,
    checkpoints,
)
from dolorim.training.loaders import Loaders
from dolorim.training.module import Learner
from dolorim.training.study_to_train import trains_on_several

_LONGEST_GRADIENT = 1.0  # longer ones are cut to this norm
_LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def make_trainer(config: Config, run: RunFolder, loaders: Loaders) -> pl.Trainer:
    """The trainer that the settings describe; the samplers learn how many processes there are.

    Raises `UserError` for devices that are not there or cannot work together.
    """
    settings = config.train
    device = _checked_device(settings)
    precision = pick_precision(settings.precision, device)
    callbacks = _callbacks(config, run, loaders)
    with _quiet_lightning():
        logger = _logger(config, run)
        try:
            trainer = pl.Trainer(
                max_epochs=settings.epochs,
                accelerator=settings.accelerator,
                devices=settings.devices if settings.devices == "auto" else int(settings.devices),
                num_nodes=settings.num_nodes,
                strategy=_strategy(config),
                precision=_LIGHTNING_PRECISION[precision],
                gradient_clip_val=_LONGEST_GRADIENT,
                logger=logger,
                callbacks=callbacks,
                enable_progress_bar=shows_progress(),
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                sync_batchnorm=trains_on_several(settings) and device.type == "cuda",
                log_every_n_steps=10,
            )
        except (ValueError, MisconfigurationException) as error:
            flags = ("accelerator", "devices", "strategy")
            given = " ".join(f"--{flag} {getattr(settings, flag)}" for flag in flags)
            raise UserError(
                f"{given}: Lightning cannot do that on this machine ({one_line(error)})"
            ) from None
    for sampler in loaders.samplers:
        sampler.world_size = trainer.num_devices * trainer.num_nodes
    return trainer


def _checked_device(settings: TrainConfig) -> torch.device:
    if settings.devices != "auto" and not settings.devices.isdecimal():
        raise UserError(f"--devices {settings.devices}: expected a number, or auto")
    device = pick_device(settings.accelerator)
    if settings.accelerator not in ("auto", "cpu") and device.type == "cpu":
        raise UserError(
            f"--accelerator {settings.accelerator}: PyTorch finds none on this machine; "
            "leave the flag out, or use cpu"
        )
    return device


def fit(
    trainer: pl.Trainer,
    config: Config,
    run: RunFolder,
    learner: Learner,
    loaders: Loaders,
    resume: bool,
) -> None:
    """Train; with `resume`, continue from the run's last checkpoint.

    Raises `UserError` where a checkpoint does not fit, the disk is full or memory runs out, and
    `KeyboardInterrupt` where a user stops it.
    """
    checkpoint = run.last_checkpoint if resume else None
    if checkpoint is not None:
        _refuse_other_network(checkpoint, learner)
        say(f"continuing from {checkpoint}")
    with _quiet_lightning(), _errors_explained(trainer, config, run):
        try:
            trainer.fit(
                learner, loaders.training, loaders.val, ckpt_path=checkpoint, weights_only=True
            )
        except BaseException:
            # Processes that the trainer has started would wait for this one forever.
            if trainer.strategy.launcher is not None:
                trainer.strategy.launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
            raise
        if isinstance(trainer.logger, WandbLogger):
            trainer.logger.experiment.finish()  # writes what is still waiting


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What Lightning has saved. Raises `UserError` for a file that is damaged or no checkpoint."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a checkpoint that can be read ({reason[:200]}); "
            "delete it, and the run starts over"
        ) from None


def _refuse_other_network(checkpoint: Path, learner: Learner) -> None:
    stored = read_checkpoint(checkpoint).get("state_dict", {})
    try:
        refuse_other_shapes(learner.state_dict(), stored, checkpoint)
    except UserError as error:
        raise UserError(f"{error}; delete it, and the run starts over") from None


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's and PyTorch's hints are for developers; what a user needs is said by us."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning|torch")
        yield


@contextmanager
def _errors_explained(trainer: pl.Trainer, config: Config, run: RunFolder) -> Iterator[None]:
    try:
        yield
    except SystemExit:  # what Lightning makes of Ctrl-C
        if trainer.interrupted:
            say(f"the same command continues from the last finished epoch in {run.path}")
            raise KeyboardInterrupt from None
        raise
    except OSError as error:
        raise UserError(
            f"{error.filename or run.path}: training stopped ({error.strerror}); once that is "
            f"fixed, the same command continues from the last finished epoch in {run.path}"
        ) from None
    except RuntimeError as error:
        # PyTorch has an exception of its own for GPUs only.
        text = str(error).casefold()
        if "out of memory" not in text and "can't allocate memory" not in text:
            raise
        raise UserError(
            f"out of memory in training; try a smaller --batch_size (now "
            f"{config.train.batch_size}), --model_type light or a smaller --image_size "
            f"(now {config.data.image_size})"
        ) from None


def _callbacks(config: Config, run: RunFolder, loaders: Loaders) -> list[Callback]:
    settings, validated = config.train, loaders.val is not None
    callbacks: list[Callback] = [
        SamplerRanks(loaders.samplers),
        TimeLimit(),
        checkpoints(run, validated),
        LearningRateMonitor(logging_interval="epoch"),
        ProgressBar() if shows_progress() else EpochLog(),
    ]
    if settings.use_ema:
        callbacks.append(WeightAveraging(multi_avg_fn=partial(average, settings.ema_decay)))
    if validated and settings.early_stopping_patience:
        callbacks.append(Patience(settings.early_stopping_patience))
    if validated and settings.stop_at_f1:
        callbacks.append(FarEnough(settings.stop_at_f1))
    return callbacks


def _strategy(config: Config) -> str:
    if not trains_on_several(config.train) or config.train.strategy != "auto":
        return config.train.strategy
    # Plain DDP waits for a gradient of every weight. A batch that lacks one stream leaves that
    # stream's weights without, and so does a frozen encoder, an unused convolution, or an action
    # head where only keypoints are learned.
    one_stream = "none" in (config.model.visual, config.model.pose)
    all_weights_learn = config.model.visual in ("none", "cnn3d") and not config.model.encoder
    if one_stream and all_weights_learn and not learns_points_alone(config):
        return "ddp"
    return "ddp_find_unused_parameters_true"


def _logger(config: Config, run: RunFolder) -> Logger:
    if not config.train.use_wandb:
        return TensorBoardLogger(run.path, name="", version="logs")
    return _wandb_logger(config.train, run)


def _wandb_logger(settings: TrainConfig, run: RunFolder) -> Logger:
    if find_spec("wandb") is None:
        raise UserError(
            "--use_wandb needs Weights & Biases; install it with: pip install 'dolorim[wandb]'"
        )
    import wandb

    name = settings.wandb_run_name or f"{run.path.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = run.path / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    logger = WandbLogger(name, folder, project=settings.wandb_project, entity=settings.wandb_entity)
    try:
        _ = logger.experiment  # starts it, so that a problem shows before training does
    except wandb.Error as error:
        raise UserError(
            f"--use_wandb: {one_line(error)}; try wandb login, or WANDB_MODE=offline"
        ) from None
    return logger
