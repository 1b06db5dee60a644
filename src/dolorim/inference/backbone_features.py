"""Features of a frozen encoder, computed once for each video and kept beside the frame cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dolorim.config import Config, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording
from dolorim.inference.hardware import pick_device, pick_precision
from dolorim.inference.streaming import Predictor, blocks_of
from dolorim.models.pretrained import Pretrained
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose_track import PoseTrack
from dolorim.terminal import progress, say
from dolorim.video.cache import CachedVideo, alone_with, feature_file
from dolorim.video.time_grid import TimeGrid

if TYPE_CHECKING:
    from dolorim.models.clips import ClipEncoder
    from dolorim.models.vit import Vit2d


def needs_only_features(config: ModelConfig) -> bool:
    """Can heads be trained on stored features?

    They can where the encoder never learns and nothing else looks at pictures.
    """
    pretrained = config.visual in ("vit_2d", "videomae2_3d", "vjepa2_3d")
    return pretrained and config.freeze_backbone_epochs < 0 and config.tasks == "action_only"


def with_features(
    labelled: Sequence[LabelledRecording], model: Recognizer, input_spec: InputSpec, config: Config
) -> list[LabelledRecording]:
    """The same recordings with the output of the model's visual encoder, `(time, width)` float16.

    It is computed where it is not stored yet. Raises `UserError` where it cannot be written.
    """
    store = _FeatureStore(model, input_spec, config)
    recordings = []
    with progress("computing features", sum(f.n_frames for f in labelled)) as bar:
        for one in labelled:
            recordings.append(dataclasses.replace(one, features=store.features_of(one)))
            bar(one.n_frames)
    return recordings


class _FeatureStore:
    """The features of one encoder, each beside the frame cache of its video."""

    def __init__(self, model: Recognizer, input_spec: InputSpec, config: Config) -> None:
        assert isinstance(model.visual, Pretrained)
        self.model, self.input_spec, self.config = model, input_spec, config
        self.key = encoder_key(model.visual, config)
        self._predictor: Predictor | None = None

    def features_of(self, labelled: LabelledRecording) -> np.ndarray:
        """Features `(time, width)` float16 of a recording, as a memory map."""
        assert labelled.video is not None
        key = recording_key(labelled.track, labelled.grid, self.input_spec)
        path = feature_file(labelled.video, f"{self.key}-{key}")
        try:
            if not path.exists():
                with alone_with(path):
                    # Another process may have computed them while this one waited.
                    if not path.exists():
                        self._compute(labelled, labelled.video, path)
        except OSError as error:
            raise UserError(
                f"cannot be written ({error.strerror})",
                where=path,
                remedy="choose another --cache DIR",
            ) from None
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def _compute(self, labelled: LabelledRecording, video: CachedVideo, path: Path) -> None:
        if self._predictor is None:
            visual = self.config.model.visual
            say(f"computing the features of {visual} once, of pictures as they are")
            settings = self.config.train
            device = pick_device(settings.accelerator)
            self._predictor = Predictor(self.model, self.input_spec, device, settings.precision)
        parts = [*self._predictor.features(blocks_of(video), labelled.track, video.side_px)]
        # Under another name at first, so that an interruption leaves no half file.
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, np.concatenate(parts))
        unfinished.replace(path)


def encoder_key(encoder: Vit2d | ClipEncoder, config: Config) -> str:
    """A short hash of the encoder's weights and of what its features depend on beside them."""
    precision = pick_precision(config.train.precision, pick_device(config.train.accelerator))
    model = config.model
    what: list[object] = [model.visual, config.data.image_size, precision, encoder.width]
    if (model.input, model.encoder_turns) != ("picture", 1):
        what += [model.input, model.encoder_turns]
    digest = hashlib.sha256(json.dumps(what).encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def recording_key(track: PoseTrack | None, grid: TimeGrid | None, input_spec: InputSpec) -> str:
    """What the features depend on beside the video: the pose's keypoints and the time grid."""
    key = "plain"
    if input_spec.points and track is not None:
        points = np.ascontiguousarray(track.points)
        key = hashlib.sha256(points.tobytes()).hexdigest()[:16]
    return key if grid is None else f"{key}-{grid.rate_hz:g}hz"
