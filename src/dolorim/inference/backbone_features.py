"""Features of a frozen encoder, computed once for each video and kept beside the frame cache."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dolorim.config import Config, ModelConfig
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording
from dolorim.dataset.run_rate import at_rate, rate_of_study
from dolorim.dataset.study import open_study
from dolorim.inference.hardware import pick_device, pick_precision
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.streaming import Predictor, blocks_of
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.trials import Recording
from dolorim.models.build import build_recognizer
from dolorim.models.pretrained import Pretrained, load_encoder
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose import NO_SKELETON
from dolorim.pose.pose_track import read_track
from dolorim.terminal import progress, say
from dolorim.video.body_length import NO_LENGTHS, BodyLengths
from dolorim.video.cache import CachedVideo, alone_with, feature_file

if TYPE_CHECKING:
    from dolorim.models.videomae import VideoMae3d
    from dolorim.models.vit import Vit2d


def needs_only_features(config: ModelConfig) -> bool:
    """Can heads be trained on stored features? Where the encoder never learns and nothing else
    looks at pictures.
    """
    pretrained = config.visual in ("vit_2d", "videomae2_3d")
    return pretrained and config.freeze_backbone_epochs < 0 and config.tasks == "action_only"


def with_features(
    labelled: Sequence[LabelledRecording], model: Recognizer, input_spec: InputSpec, config: Config
) -> list[LabelledRecording]:
    """The same recordings with the features of the model's visual encoder, computed where they
    are not stored yet.
    """
    assert isinstance(model.visual, Pretrained)
    key = encoder_key(model.visual, config)
    predictor: Predictor | None = None
    found = []
    with progress("computing features", sum(f.n_frames for f in labelled)) as bar:
        for one in labelled:
            assert one.video is not None
            path = feature_file(one.video, f"{key}-{_recording_key(one, input_spec)}")
            try:
                with contextlib.nullcontext() if path.exists() else alone_with(path):
                    if not path.exists():
                        if predictor is None:
                            say(
                                f"computing the features of {config.model.visual} once, of "
                                "pictures as they are"
                            )
                            device = pick_device(config.train.accelerator)
                            predictor = Predictor(model, input_spec, device, config.train.precision)
                        parts = [
                            *predictor.features(blocks_of(one.video), one.track, one.video.side_px)
                        ]
                        np.save(path.with_suffix(".part.npy"), np.concatenate(parts))
                        path.with_suffix(".part.npy").replace(path)
            except OSError as error:
                raise UserError(
                    f"{path}: cannot be written ({error.strerror}); choose another --cache DIR"
                ) from None
            found.append(
                dataclasses.replace(one, features=np.load(path, mmap_mode="r", allow_pickle=False))
            )
            bar(one.n_frames)
    return found


def compute_features(
    config: Config, videos: Sequence[CachedVideo], lengths: BodyLengths = NO_LENGTHS
) -> None:
    """Store the features of a pretrained encoder for cached videos, as training with the same
    settings reads them.
    """
    if not needs_only_features(config.model):
        raise UserError(
            "--features are those of a frozen pretrained network that tells behaviors alone; "
            "choose --visual vit_2d or "
            "videomae2_3d, with --tasks action_only"
        )
    poses = (
        {s.video: s.pose for s in open_study(config.data).sources}
        if config.model.pose != "none"
        else {}
    )
    labelled = []
    for video in videos:
        pose = poses.get(video.video)
        data = lengths.for_pose(config.data, video.video)
        track = (
            read_track(pose, data, config.model.pose == "generic", rate_of(video.time_s))
            if pose
            else None
        )
        empty = Recording(
            video.video.stem, "", np.full(video.n_frames, UNLABELED, np.int16), file=video.video
        )
        labelled.append(
            LabelledRecording(empty, video, None if track is None else track.on(video.n_frames))
        )
    labelled = at_rate(labelled, rate_of_study(labelled, config.data.run_rate_hz))
    skeleton = next((f.track.skeleton for f in labelled if f.track is not None), NO_SKELETON)
    model = build_recognizer(config.model, 2, skeleton, config.data.image_size)
    assert isinstance(model.visual, Pretrained)
    say(f"{config.model.visual}: {load_encoder(model.visual, config.model.encoder_weights)}")
    with_features(labelled, model, input_spec_of(model, config.model, skeleton), config)


def encoder_key(encoder: Vit2d | VideoMae3d, config: Config) -> str:
    """A short hash of the encoder's weights and of what its features depend on beside them."""
    precision = pick_precision(config.train.precision, pick_device(config.train.accelerator))
    what = [config.model.visual, config.data.image_size, precision, encoder.width]
    digest = hashlib.sha256(json.dumps(what).encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _recording_key(labelled: LabelledRecording, input_spec: InputSpec) -> str:
    """What the features depend on beside the video: the pose's keypoints and the time grid."""
    key = "plain"
    if input_spec.points and labelled.track is not None:
        points = np.ascontiguousarray(labelled.track.points)
        key = hashlib.sha256(points.tobytes()).hexdigest()[:16]
    return key if labelled.grid is None else f"{key}-{labelled.grid.rate_hz:g}hz"
