"""Train a run: data, split, network, Lightning's loop, and an honest evaluation at the end."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Sampler

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.core.splits import Split, split_animals
from dolorim.data.windows import Batch, BoutSampler, Halo, Windows, WindowSpec, class_shares, dense_specs
from dolorim.engine.evaluate import evaluate_held_out
from dolorim.engine.hardware import Precision, pick_device, pick_precision
from dolorim.engine.material import Material, gather
from dolorim.engine.model_card import write_model_card
from dolorim.engine.module import Learner
from dolorim.engine.run_folder import RunFolder, load_strictly
from dolorim.engine.talk import say, warn, watched
from dolorim.models.build import build_recognizer

_VAL_WINDOW = 64  # frames; validation is dense, so that this is only a matter of speed
_LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def train(config: Config, run: RunFolder) -> RunFolder:
    """Train a recognizer as `config` says, evaluate it on held-out animals, and leave it in the run folder.

    An unfinished run with the same settings goes on where it stopped.
    """
    material = gather(config.data)
    ethogram = material.project.ethogram
    split = _split(config, material)
    if config.train.lr_schedule == "plateau" and not split.val:
        raise UserError("--lr_schedule plateau needs validation animals; name some with --val_animals, or use cosine")
    resume = run.start(config, ethogram, split)
    _say_split(material, split)
    learner, loaders = _prepare(config, material, split)
    _fit(config, run, learner, loaders, resume)
    if learner.global_rank:  # with several devices, the first process does the rest
        raise SystemExit(0)
    model = learner.model
    best = run.path / "checkpoints" / "best.ckpt"
    if split.val and best.exists():
        state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
        load_strictly(model, {k.removeprefix("model."): v for k, v in state.items()}, best)
    run.save_model(model)
    metrics = evaluate_held_out(run, material)
    run.write_json("metrics.json", metrics)
    write_model_card(run, material.recordings, metrics)
    return run


def _split(config: Config, material: Material) -> Split:
    counts: dict[str, np.ndarray] = {}
    for recording in material.recordings:
        known = recording.labels[recording.labels >= 0]
        found = np.bincount(known, minlength=len(material.project.ethogram))
        counts[recording.animal] = counts.get(recording.animal, 0) + found
    given = {"val": config.train.val_animals, "test": config.train.test_animals}
    names = {part: _names(text) for part, text in given.items()}
    return split_animals(counts, val=names["val"], test=names["test"], seed=config.train.seed)


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [] if text.strip().casefold() == "none" else [n.strip() for n in text.split(",") if n.strip()]


def _say_split(material: Material, split: Split) -> None:
    classes = material.project.ethogram.classes
    for part in ("train", "val", "test"):
        recordings, _ = material.part(getattr(split, part))
        labels = np.concatenate([r.labels[r.labels >= 0] for r in recordings] or [np.empty(0, np.int16)])
        shares = np.bincount(labels, minlength=len(classes)) / max(len(labels), 1)
        text = ", ".join(f"{n} {100 * s:.1f}%" for n, s in zip(classes, shares, strict=True))
        animals = ", ".join(getattr(split, part)) or "none"
        say(f"{part}: {animals} ({len(recordings)} videos, {len(labels)} labelled frames: {text})")
    if not split.val:
        say("no validation animals: training runs its full course and the last weights are kept")
    if not split.test:
        warn("no test animals: the run will have no honest figure of its accuracy")


def _prepare(config: Config, material: Material, split: Split) -> tuple[Learner, tuple[DataLoader[Batch], ...]]:
    ethogram, settings = material.project.ethogram, config.train
    halo = Halo.around(config.model.clip_length)
    windows = Windows(*material.part(split.train), settings.window, halo)
    sampler = BoutSampler(windows.recordings, settings.window, config.augment, settings.seed)
    shares = class_shares(windows, sampler, len(ethogram))
    for name, share in zip(ethogram.classes, shares, strict=True):
        if share == 0:
            warn(f"no training animal shows {name}; the run cannot learn it")
    loaders = [_loader(windows, sampler, settings.batch_size, settings.num_workers)]
    if split.val:
        val = Windows(*material.part(split.val), _VAL_WINDOW, halo)
        loaders.append(_loader(val, dense_specs(val.recordings, _VAL_WINDOW), 1, 0))
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    model = build_recognizer(config.model, len(ethogram))
    return Learner(model, config, ethogram, shares), tuple(loaders)


def _loader(
    windows: Windows, sampler: Sampler[WindowSpec] | list[WindowSpec], batch: int, workers: int
) -> DataLoader[Batch]:
    return DataLoader(
        windows,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,
        pin_memory=torch.cuda.is_available(),
    )


def _fit(
    config: Config, run: RunFolder, learner: Learner, loaders: tuple[DataLoader[Batch], ...], resume: bool
) -> None:
    settings, validated, sampler = config.train, len(loaders) > 1, loaders[0].sampler
    assert isinstance(sampler, BoutSampler)
    precision = pick_precision(settings.precision, pick_device(settings.accelerator))
    callbacks: list[Callback] = [_Ranks(sampler), _TimeLimit(), _checkpoints(run, validated)]
    callbacks.append(RichProgressBar(console_kwargs={"stderr": True}) if watched() else _Lines())
    if settings.use_ema:
        callbacks.append(EMAWeightAveraging(decay=settings.ema_decay))
    if validated and settings.early_stopping_patience:
        callbacks.append(EarlyStopping("val/macro_f1", mode="max", patience=settings.early_stopping_patience))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning|torch")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = pl.Trainer(
            max_epochs=settings.epochs,
            accelerator=settings.accelerator,
            devices=settings.devices if settings.devices == "auto" else int(settings.devices),
            precision=_LIGHTNING_PRECISION[precision],
            gradient_clip_val=settings.grad_clip or None,
            logger=TensorBoardLogger(run.path, name="", version="logs"),
            callbacks=callbacks,
            enable_progress_bar=watched(),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            log_every_n_steps=10,
        )
        say(f"training on {trainer.strategy.root_device} in {precision} bits, {len(loaders[0])} steps an epoch")
        checkpoint = run.last_checkpoint if resume else None
        if resume:
            say(f"going on from {checkpoint}")
        val = loaders[1] if validated else None
        try:
            trainer.fit(learner, loaders[0], val, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                say(f"the same command goes on from the last finished epoch in {run.path}")
                raise KeyboardInterrupt from None
            raise
        except RuntimeError as error:
            if "out of memory" not in str(error).casefold() and "can't allocate memory" not in str(error):
                raise
            raise UserError(
                f"out of memory in training; try a smaller --batch_size (now {settings.batch_size}), "
                f"--model_type light or a smaller --image_size (now {config.data.image_size})"
            ) from None


def _checkpoints(run: RunFolder, validated: bool) -> ModelCheckpoint:
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


class _Ranks(Callback):
    """Gives every process its own windows where several devices train together."""

    def __init__(self, sampler: BoutSampler) -> None:
        self._sampler = sampler

    def setup(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        self._sampler.rank, self._sampler.world_size = trainer.global_rank, trainer.world_size


class _TimeLimit(Callback):
    """Ends training when `--max_minutes` have passed; the learning rate has been brought down by then."""

    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, *_: Any) -> None:
        if isinstance(learner, Learner) and learner.time_share >= 1:
            trainer.should_stop = True


class _Lines(Callback):
    """One line an epoch, for logs and for whoever has no terminal."""

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        found = [f"loss {values.get('train/loss_epoch', float('nan')):.3f}"]
        found += [f"{k.removeprefix('val/')} {v:.3f}" for k, v in values.items() if k.startswith("val/")]
        seconds = time.monotonic() - self._since
        say(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(found)} ({seconds:.0f} s)")
