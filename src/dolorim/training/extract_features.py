"""Compute features of all videos of a study in advance, with labels or without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dolorim.config import Config
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.run_rate import at_rate, rate_of_study
from dolorim.dataset.study import open_study
from dolorim.files.recordings import Chamber, Recorded, chamber_of, name_in
from dolorim.inference.backbone_features import needs_only_features, with_features
from dolorim.inference.frame_features import FrameStore
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.predictor import predictor_for
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.trials import Recording
from dolorim.models.build import build_recognizer
from dolorim.models.pretrained import Pretrained, load_encoder
from dolorim.pose.pose import NO_SKELETON
from dolorim.pose.pose_track import read_track
from dolorim.terminal import say
from dolorim.training.quick import new_quick
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.cache import CachedVideo
from dolorim.video.chambers import in_chamber


def compute_features(
    config: Config, videos: Mapping[Recorded, CachedVideo], lengths: BodyLengths = NO_LENGTHS
) -> None:
    """Store the features that quick heads read, or those of a pretrained encoder.

    Training and prediction with the same settings read them. Raises `UserError` for settings with
    which they would not.
    """
    is_quick = config.model.head in ("linear", "trees")
    if not is_quick and not needs_only_features(config.model):
        raise UserError(
            "--features are those that quick heads read, or those of a frozen pretrained network "
            "that recognizes behaviors alone; choose --head linear or trees, or --visual vit_2d, "
            "videomae2_3d or vjepa2_3d with --tasks action_only"
        )
    poses: dict[Recorded, Path | None] = {}
    if config.model.pose != "none":
        poses = {s.recorded: s.pose for s in open_study(config.data).sources}
    labelled = []
    for recording, video in videos.items():
        chamber = chamber_of(recording)
        labelled.append(_unlabelled(video, chamber, poses.get(recording), config, lengths))
    labelled = at_rate(labelled, rate_of_study(labelled, config.data.run_rate_hz))
    skeleton = next((f.track.skeleton for f in labelled if f.track is not None), NO_SKELETON)
    if is_quick:
        predictor = predictor_for(config, skeleton, new_quick(config, skeleton, []))
        FrameStore(predictor, config).of_all(labelled)
        return
    # The heads do not matter for the encoder's output: two classes stand for any number.
    model = build_recognizer(config.model, 2, skeleton, config.data.image_size)
    assert isinstance(model.visual, Pretrained)
    say(f"{config.model.visual}: {load_encoder(model.visual, config.model.encoder_weights)}")
    with_features(labelled, model, input_spec_of(model, config.model, skeleton), config)


def _unlabelled(
    video: CachedVideo,
    chamber: Chamber | None,
    pose: Path | None,
    config: Config,
    lengths: BodyLengths,
) -> LabelledRecording:
    """A cached video with its pose, and no labels."""
    track = None
    if pose is not None:
        data = lengths.for_pose(in_chamber(config.data, chamber), video.video)
        generic = config.model.pose == "generic"
        track = read_track(pose, data, generic, rate_of(video.time_s)).on(video.n_frames)
    labels = np.full(video.n_frames, UNLABELED, np.int16)
    name = name_in(video.video.stem, chamber)
    return LabelledRecording(Recording(name, "", labels, file=video.video), video, track)
