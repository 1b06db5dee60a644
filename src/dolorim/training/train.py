"""Train a run: data, split, network, Lightning's loop, and an honest evaluation at the end."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import signal
import time
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from dolorim.config import Config, TrainConfig
from dolorim.core.clock import rate_of
from dolorim.core.errors import FinishedElsewhere, UserError
from dolorim.dataset.augmentation import augment, settle
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import StudyDataset, learns_points_alone, load_dataset
from dolorim.dataset.splits import Split, split_animals
from dolorim.dataset.windows import Batch, Windows, pose_statistics
from dolorim.evaluation.calibrate_conformal import calibrate
from dolorim.evaluation.evaluate import evaluate_held_out
from dolorim.inference.backbone_features import needs_only_features, with_features
from dolorim.inference.decoder import Decoder
from dolorim.inference.hardware import Precision, is_first_process, pick_device, pick_precision
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder, load_strictly, refuse_other_shapes
from dolorim.labels.bouts import to_bouts
from dolorim.models.build import build_recognizer
from dolorim.models.pretrained import Pretrained, last_blocks, load_encoder, one_line
from dolorim.terminal import console, detail, say, warn, watched
from dolorim.training.callbacks import (
    Lines,
    Patience,
    ProgressBar,
    Ranks,
    TimeLimit,
    average,
    checkpoints,
    how_it_ended,
)
from dolorim.training.drawn_shares import prior_decoder, sampler_for
from dolorim.training.fit_decoder import fit_decoder
from dolorim.training.loaders import Loaders, make_loaders
from dolorim.training.model_card import write_model_card
from dolorim.training.module import Learner, inputs_of

_LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def train(config: Config, run: RunFolder) -> RunFolder:
    """Train a recognizer as `config` says, evaluate it on held-out animals, and leave it in the run folder.

    An unfinished run with the same settings goes on where it stopped.
    """
    if _several(config.train) and not is_first_process():
        console.quiet = True
    dataset = load_dataset(config)
    split = _split(config, dataset)
    return train_on(config, run, dataset, split)


def train_on(config: Config, run: RunFolder, dataset: StudyDataset, split: Split) -> RunFolder:
    """The same on material that has been gathered, with a split that has been made."""
    ethogram = dataset.project.ethogram
    if config.train.lr_schedule == "plateau" and not split.val:
        raise UserError(
            "--lr_schedule plateau needs validation animals; name some with --val_animals, or use cosine"
        )
    if learns_points_alone(config) and split.val:
        raise UserError(
            "validation animals choose by their labels, and there are none; give --val_animals none"
        )
    resume = run.start(
        config,
        ethogram,
        split,
        dataset.skeleton,
        write=is_first_process() or not _several(config.train),
    )
    run.write_json("body_lengths.json", dataclasses.asdict(dataset.lengths))
    _say_split(dataset, split)
    learner, loaders = _prepare(config, dataset, split)
    frozen = learner.model.visual if needs_only_features(config.model) else None
    as_it_was = None if frozen is None else {k: v.clone() for k, v in frozen.state_dict().items()}
    _fit(config, run, learner, loaders, resume)
    if learner.global_rank:  # with several devices, the first process does the rest
        raise FinishedElsewhere
    run.write_json("training.json", how_it_ended(learner))
    model = learner.model
    best = run.path / "checkpoints" / "best.ckpt"
    if split.val and best.exists():
        state = _read_checkpoint(best)["state_dict"]
        load_strictly(model, {k.removeprefix("model."): v for k, v in state.items()}, best)
    if frozen is not None and as_it_was is not None:  # to the bit: stored features are of these
        frozen.load_state_dict(as_it_was)
    run.save_model(model)
    run.write_json("decoder.json", _fitted_decoder(config, run, learner).to_dict())
    metrics = evaluate_held_out(run, dataset)
    if split.val and not metrics["val"].get("seen_in_training"):
        calibrate(run, "val")
    write_model_card(run, dataset.recordings, metrics)
    run.write_json("metrics.json", metrics)  # last: it marks the run as finished
    return run


def _fitted_decoder(config: Config, run: RunFolder, learner: Learner) -> Decoder:
    """What turns probabilities into labels: what was learned from is known, the rest fits validation animals alone."""
    if config.train.decoder == "argmax" or not learner.val:
        return learner.decoder
    predictor = predictor_of(run, learner.model)
    probabilities = [predictor(f).probabilities for f in learner.val]
    rates = [rate_of(f.time_s) for f in learner.val]
    recordings = [f.recording for f in learner.val]
    decoder = fit_decoder(
        probabilities, [r.labels for r in recordings], rates, learner.ethogram.classes,
        animals=[r.animal for r in recordings], borders=[[(t.start, t.stop) for t in r.trials] for r in recordings],
        base=learner.decoder,
    )  # fmt: skip
    say(f"decoder, fitted on the validation animals: {json.dumps(decoder.to_dict())}")
    return decoder


def frames_by_animal(dataset: StudyDataset) -> dict[str, np.ndarray]:
    """Labelled frames of each class `(classes,)` by animal."""
    counts: dict[str, np.ndarray] = {}
    for recording in dataset.recordings:
        known = recording.labels[recording.labels >= 0]
        found = np.bincount(known, minlength=len(dataset.project.ethogram))
        counts[recording.animal] = counts.get(recording.animal, 0) + found
    return counts


def _split(config: Config, dataset: StudyDataset) -> Split:
    counts = frames_by_animal(dataset)
    given = {"val": config.train.val_animals, "test": config.train.test_animals}
    names = {part: _names(text) for part, text in given.items()}
    if learns_points_alone(config):
        names["val"] = names["val"] or []
    return split_animals(counts, val=names["val"], test=names["test"], seed=config.train.seed)


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return (
        []
        if text.strip().casefold() == "none"
        else [n.strip() for n in text.split(",") if n.strip()]
    )


def _say_split(dataset: StudyDataset, split: Split) -> None:
    classes = dataset.project.ethogram.classes
    if note := dataset.project.ethogram.merging_note():
        say(note)
    for part in ("train", "val", "test"):
        recordings = [f.recording for f in dataset.part(getattr(split, part))]
        labels = np.concatenate(
            [r.labels[r.labels >= 0] for r in recordings] or [np.empty(0, np.int16)]
        )
        shares = np.bincount(labels, minlength=len(classes)) / max(len(labels), 1)
        text = ", ".join(f"{n} {100 * s:.1f}%" for n, s in zip(classes, shares, strict=True))
        animals = ", ".join(getattr(split, part)) or "none"
        say(f"{part}: {animals} ({len(recordings)} videos, {len(labels)} labelled frames: {text})")
    if not split.val:
        say("no validation animals: training runs its full course and the last weights are kept")
    if not split.test:
        warn("no test animals: the run will have no honest figure of its accuracy")


def _prepare(config: Config, dataset: StudyDataset, split: Split) -> tuple[Learner, Loaders]:
    ethogram, settings, skeleton = dataset.project.ethogram, config.train, dataset.skeleton
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    changes, told = settle(config, ethogram.classes, skeleton.keypoints)
    for line in told:
        say(line)
    config = dataclasses.replace(config, augment=changes)
    model = build_recognizer(config.model, len(ethogram), skeleton, config.data.image_size)
    input_spec = input_spec_of(model, config.model, skeleton)
    footage, val = dataset.part(split.train), dataset.part(split.val)
    if isinstance(model.visual, Pretrained):
        say(f"{config.model.visual}: {load_encoder(model.visual, config.model.encoder_weights)}")
        last_blocks(
            model.visual, config.model.unfreeze_last
        )  # are there any? `thaw` will ask for them
        if config.model.freeze_backbone_epochs < 0 and config.model.tasks == "multitask":
            say("keypoints are read from what the frozen network sees, so it looks anew in every epoch; "
                "with --tasks action_only its features are computed once")  # fmt: skip
    if settings.warm_start is not None:
        load_strictly(
            model, RunFolder(settings.warm_start).load_model().state_dict(), settings.warm_start
        )
        say(f"starting from the weights of {settings.warm_start}")
    if needs_only_features(
        config.model
    ):  # of the weights that it starts with, wherever they are from
        footage, val = (with_features(part, model, input_spec, config) for part in (footage, val))
    if model.pose is not None and all(f.track is None for f in footage):
        raise UserError(
            "none of the animals that are learned from has a pose; choose others with --val_animals and --test_animals"
        )
    windows = Windows(footage, settings.train_T, input_spec, config.augment)
    labels = np.concatenate([f.recording.labels for f in footage])
    counts = np.bincount(labels[labels >= 0], minlength=len(ethogram))
    sampler, shares = sampler_for(config, footage, ethogram, counts)
    if model.pose is not None:
        model.pose.fit(*pose_statistics(windows))
    loaders = make_loaders(config, footage, model, windows, sampler, len(val))
    learner = Learner(model, config, ethogram, shares, input_spec, val)
    learner.decoder = prior_decoder(settings, ethogram, counts, shares)
    _try_one_batch(learner, loaders, config, footage)
    return learner, loaders


def _try_one_batch(
    learner: Learner, loaders: Loaders, config: Config, footage: Sequence[LabelledRecording]
) -> None:
    """Run one batch through the network before the first epoch; name the shapes, and how far it sees."""
    batch = next(iter(loaders.windows))
    mode = learner.model.training
    learner.model.eval()
    with torch.inference_mode():
        found = learner.model(
            inputs_of(augment(batch, config.augment, learner.ethogram.mirrored)),
            batch["valid"],
            halo=True,
        )
        detail(f"one batch: {_shapes(batch)} -> actions {tuple(found.actions.shape)}")
        if loaders.keypoint_frames is not None:
            batch = next(iter(loaders.keypoint_frames))
            changed = augment(batch, config.augment, learner.ethogram.mirrored)
            keypoints = learner.model.find_keypoints(changed["frames"][:, None])
            detail(f"single frames: {_shapes(batch)} -> keypoints {tuple(keypoints.places.shape)}")
    learner.model.train(mode)
    halos = [h for h in (learner.input_spec.visual, learner.input_spec.pose) if h is not None]
    before, after = (max(getattr(h, side) for h in halos) for side in ("before", "after"))
    longest = max((len(b) for f in footage for b in to_bouts(f.recording.labels)), default=0)
    say(f"a decision sees {learner.model.before + before + 1 + after + learner.model.after} frames; "
        f"the longest labelled bout has {longest}")  # fmt: skip


def _shapes(batch: Batch) -> str:
    return ", ".join(
        f"{name} {tuple(values.shape)}" for name, values in batch.items() if values.dim() > 1
    )


def _fit(config: Config, run: RunFolder, learner: Learner, loaders: Loaders, resume: bool) -> None:
    settings, validated = config.train, loaders.val is not None
    if settings.devices != "auto" and not settings.devices.isdecimal():
        raise UserError(f"--devices {settings.devices}: expected how many, or auto")
    if (
        settings.accelerator not in ("auto", "cpu")
        and pick_device(settings.accelerator).type == "cpu"
    ):
        raise UserError(
            f"--accelerator {settings.accelerator}: PyTorch finds none here; leave the flag out, or use cpu"
        )
    precision = pick_precision(settings.precision, pick_device(settings.accelerator))
    callbacks: list[Callback] = [
        Ranks(loaders.angles_rad),
        TimeLimit(),
        checkpoints(run, validated),
    ]
    callbacks.append(ProgressBar() if watched() else Lines())
    if settings.use_ema:
        callbacks.append(WeightAveraging(multi_avg_fn=partial(average, settings.ema_decay)))
    if validated and settings.early_stopping_patience:
        callbacks.append(Patience(settings.early_stopping_patience))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning|torch")
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            trainer = pl.Trainer(
                max_epochs=settings.epochs,
                accelerator=settings.accelerator,
                devices=settings.devices if settings.devices == "auto" else int(settings.devices),
                num_nodes=settings.num_nodes,
                strategy=_strategy(config),
                precision=_LIGHTNING_PRECISION[precision],
                gradient_clip_val=settings.grad_clip or None,
                logger=_logger(config, run),
                callbacks=callbacks,
                enable_progress_bar=watched(),
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                sync_batchnorm=_several(settings)
                and pick_device(settings.accelerator).type == "cuda",
                log_every_n_steps=10,
            )
        except (ValueError, MisconfigurationException) as error:
            asked = f"--accelerator {settings.accelerator} --devices {settings.devices} --strategy {settings.strategy}"
            raise UserError(f"{asked}: Lightning cannot do that here ({one_line(error)})") from None
        for sampler in loaders.angles_rad:
            sampler.world_size = trainer.num_devices * trainer.num_nodes
        times = f" x {sampler.world_size}" if sampler.world_size > 1 else ""
        device = f"{trainer.strategy.root_device}{times}"
        say(f"training on {device}, precision {precision}, {len(loaders.windows)} steps an epoch")
        checkpoint = run.last_checkpoint if resume else None
        if checkpoint is not None:
            stored = _read_checkpoint(checkpoint).get("state_dict", {})
            try:
                refuse_other_shapes(learner.state_dict(), stored, checkpoint)
            except UserError as error:
                raise UserError(f"{error}; delete it, and the run begins anew") from None
            say(f"going on from {checkpoint}")
        try:
            try:
                trainer.fit(
                    learner, loaders.training, loaders.val, ckpt_path=checkpoint, weights_only=True
                )
            except BaseException:  # processes that it has started would wait for this one for ever
                if trainer.strategy.launcher is not None:
                    trainer.strategy.launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
                raise
            if isinstance(trainer.logger, WandbLogger):
                trainer.logger.experiment.finish()  # what waits is written
        except SystemExit:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                say(f"the same command goes on from the last finished epoch in {run.path}")
                raise KeyboardInterrupt from None
            raise
        except OSError as error:
            raise UserError(
                f"{error.filename or run.path}: training stopped ({error.strerror}); when that is mended, the same "
                f"command goes on from the last finished epoch in {run.path}"
            ) from None
        except RuntimeError as error:
            if "out of memory" not in str(error).casefold() and "can't allocate memory" not in str(
                error
            ):
                raise
            raise UserError(
                f"out of memory in training; try a smaller --batch_size (now {settings.batch_size}), "
                f"--model_type light or a smaller --image_size (now {config.data.image_size})"
            ) from None


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a checkpoint that can be read ({reason[:200]}); delete it, and the run begins anew"
        ) from None


def _several(settings: TrainConfig) -> bool:
    return settings.devices != "1" or settings.num_nodes > 1


def _strategy(config: Config) -> str:
    if not _several(config.train) or config.train.strategy != "auto":
        return config.train.strategy
    # A batch that lacks one stream leaves that stream's weights without gradient, and so does a frozen encoder.
    # So do convolutions that are left out.
    # So do the other heads where keypoints alone are learned.
    one_stream = "none" in (config.model.visual, config.model.pose) and not learns_points_alone(
        config
    )
    all_learn = config.model.visual == "none" or (
        config.model.visual == "cnn3d" and config.model.convolution_dropout < 1
    )
    return "ddp" if one_stream and all_learn else "ddp_find_unused_parameters_true"


def _logger(config: Config, run: RunFolder) -> Logger:
    settings = config.train
    if not settings.use_wandb:
        return TensorBoardLogger(run.path, name="", version="logs")
    if find_spec("wandb") is None:
        raise UserError(
            "--use_wandb needs Weights & Biases; install it with: pip install 'dolorim[wandb]'"
        )
    name = settings.wandb_run_name or f"{run.path.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = run.path / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    import wandb

    logger = WandbLogger(name, folder, project=settings.wandb_project, entity=settings.wandb_entity)
    try:
        _ = logger.experiment  # it begins now
    except wandb.Error as error:
        raise UserError(
            f"--use_wandb: {one_line(error)}; try wandb login, or WANDB_MODE=offline"
        ) from None
    return logger
