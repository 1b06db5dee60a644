"""What training a network needs: the network, the windows and the learner."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.augmentation import augment, settle
from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording
from dolorim.dataset.loading import StudyDataset
from dolorim.dataset.splits import Split
from dolorim.dataset.windows import Batch, Windows, pose_statistics
from dolorim.inference.backbone_features import needs_only_features, with_features
from dolorim.inference.encoder_folder import load_encoder_folder
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.run_folder import RunFolder, load_strictly
from dolorim.labels.ethogram import Ethogram
from dolorim.models.build import build_recognizer
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.pretrained import Pretrained, last_blocks, load_encoder
from dolorim.models.recognizer import Recognizer
from dolorim.terminal import detail, say
from dolorim.training.drawn_shares import prior_decoder, sampler_for
from dolorim.training.loaders import Loaders, make_loaders
from dolorim.training.module import Learner, inputs_of
from dolorim.training.study_to_train import count_labels


def prepare(config: Config, dataset: StudyDataset, split: Split) -> tuple[Learner, Loaders]:
    """The network and the windows to train it on, after one batch has gone through it.

    Raises `UserError` for settings that contradict each other or the data.
    """
    ethogram, skeleton = dataset.study.ethogram, dataset.skeleton
    pl.seed_everything(config.train.seed, workers=True, verbose=False)
    augmentation, notes = settle(config, ethogram.classes, skeleton.keypoints)
    for note in notes:
        say(note)
    config = dataclasses.replace(config, augment=augmentation)
    model = build_recognizer(config.model, len(ethogram), skeleton, config.data.image_size)
    input_spec = input_spec_of(model, config.model, skeleton)
    _load_weights(model, config)
    recordings, val = dataset.part(split.train), dataset.part(split.val)
    # Features are those of the weights that training starts with, wherever they come from.
    if needs_only_features(config.model):
        recordings = with_features(recordings, model, input_spec, config)
        val = with_features(val, model, input_spec, config)
    if model.pose is not None and all(f.track is None for f in recordings):
        raise UserError(
            "none of the training animals has a pose; choose others with --val_animals and "
            "--test_animals"
        )
    return _learner(config, ethogram, model, input_spec, recordings, val)


def _load_weights(model: Recognizer, config: Config) -> None:
    """Weights of a pretrained encoder, then those of a run to start from."""
    settings = config.model
    if isinstance(model.visual, Pretrained):
        say(f"{settings.visual}: {load_encoder(model.visual, settings.encoder_weights)}")
        # Raises now, and not in a later epoch, where the network has no blocks to thaw.
        last_blocks(model.visual, settings.unfreeze_last)
        if settings.freeze_backbone_epochs < 0 and settings.tasks == "multitask":
            say(
                "keypoints are read from the output of the frozen network, which is computed again "
                "in every epoch; with --tasks action_only its features are computed only once"
            )
    if settings.encoder and isinstance(model.visual, Cnn3d):
        encoder = load_encoder_folder(Path(settings.encoder))
        model.visual.adopt(encoder.network)
        say(f"encoder: starting from {encoder}")
    warm_start = config.train.warm_start
    if warm_start is not None:
        load_strictly(model, RunFolder(warm_start).load_model().state_dict(), warm_start)
        say(f"starting from the weights of {warm_start}")


def _learner(
    config: Config,
    ethogram: Ethogram,
    model: Recognizer,
    input_spec: InputSpec,
    recordings: Sequence[LabelledRecording],
    val: Sequence[LabelledRecording],
) -> tuple[Learner, Loaders]:
    windows = Windows(recordings, config.train.train_T, input_spec, config.augment)
    counts = count_labels(np.concatenate([f.recording.labels for f in recordings]), len(ethogram))
    sampler, shares = sampler_for(config, recordings, ethogram, counts)
    if model.pose is not None:
        model.pose.fit(*pose_statistics(windows))
    loaders = make_loaders(config, recordings, model, windows, sampler, len(val))
    learner = Learner(model, config, ethogram, shares, input_spec, val)
    learner.decoder = prior_decoder(config.train, ethogram, counts, shares)
    _try_one_batch(learner, loaders)
    return learner, loaders


def _try_one_batch(learner: Learner, loaders: Loaders) -> None:
    """Run one batch through the network, so that settings that do not fit fail at once."""
    model, augmentation = learner.model, learner.config.augment
    mirrored = learner.ethogram.mirrored
    mode = model.training
    model.eval()
    with torch.inference_mode():
        batch = next(iter(loaders.windows))
        inputs = inputs_of(augment(batch, augmentation, mirrored))
        output = model(inputs, batch["valid"], halo=True)
        detail(f"one batch: {_shapes(batch)} -> actions {tuple(output.actions.shape)}")
        if loaders.keypoint_frames is not None:
            batch = next(iter(loaders.keypoint_frames))
            frames = augment(batch, augmentation, mirrored)["frames"]
            keypoints = model.find_keypoints(frames[:, None])
            detail(f"single frames: {_shapes(batch)} -> keypoints {tuple(keypoints.places.shape)}")
    model.train(mode)


def _shapes(batch: Batch) -> str:
    shapes = (f"{name} {tuple(value.shape)}" for name, value in batch.items() if value.dim() > 1)
    return ", ".join(shapes)
