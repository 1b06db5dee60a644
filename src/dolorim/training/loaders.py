"""The batches of a training step: windows, single tracked frames, or both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.keypoint_frames import KeypointFrames
from dolorim.dataset.labelled_recording import Halo, InputSpec, LabelledRecording
from dolorim.dataset.loading import learns_points_alone
from dolorim.dataset.sampling import BoutSampler, DividedNumbers, Numbers, WindowSpec
from dolorim.dataset.windows import Batch, Windows
from dolorim.models.recognizer import Recognizer


@dataclass(frozen=True)
class Loaders:
    """Loaders of `windows` and of `keypoint_frames` for the same steps, and of validation.

    `val` loads the numbers of the recordings to validate. With `points_alone` only keypoints are
    learned, from single frames, and the steps get no windows.
    """

    windows: DataLoader[Batch]
    keypoint_frames: DataLoader[Batch] | None = None
    val: DataLoader[Any] | None = None
    points_alone: bool = False

    @property
    def training(self) -> dict[str, DataLoader[Batch]]:
        """Loaders by the name that a step has for their batch (`Learner.training_step`)."""
        if self.keypoint_frames is None:
            return {"windows": self.windows}
        if self.points_alone:
            return {"keypoint_frames": self.keypoint_frames}
        return {"windows": self.windows, "keypoint_frames": self.keypoint_frames}

    @property
    def samplers(self) -> list[BoutSampler | KeypointFrames | DividedNumbers]:
        """The samplers that divide their draws among processes that train together."""
        loaders = (self.windows, self.keypoint_frames, self.val)
        samplers = [loader.sampler for loader in loaders if loader is not None]
        return [s for s in samplers if isinstance(s, BoutSampler | KeypointFrames | DividedNumbers)]


def make_loaders(
    config: Config,
    recordings: Sequence[LabelledRecording],
    model: Recognizer,
    windows: Windows,
    sampler: BoutSampler,
    n_val: int,
) -> Loaders:
    """Loaders of `windows` of the training `recordings`, drawn by `sampler`, and of validation.

    `n_val` is the number of validation recordings. Raises `UserError` where keypoints are to be
    learned and no training animal has any.
    """
    settings = config.train
    keypoint_frames = val = None
    if model.keypoints is not None and settings.lambda_kp and settings.kp_frames:
        draws = KeypointFrames(recordings, settings, config.augment, sampler)
        if not draws.n_tracked:
            raise UserError(
                "none of the training animals has a keypoint in any frame; check their pose files, "
                "or learn behaviors alone: --tasks action_only"
            )
        map_spec = _input_spec_of_maps(model, windows.input_spec)
        single = Windows(recordings, 1, map_spec, config.augment)
        keypoint_frames = _loader(single, draws, settings.kp_frames, settings.num_workers)
    if n_val:
        val = DataLoader(Numbers(n_val), batch_size=None, sampler=DividedNumbers(n_val))
    drawn = _loader(windows, sampler, settings.batch_size, settings.num_workers)
    return Loaders(drawn, keypoint_frames, val, learns_points_alone(config))


def _input_spec_of_maps(model: Recognizer, input_spec: InputSpec) -> InputSpec:
    """The input of the maps that a single frame's keypoints are found in."""
    assert model.visual is not None
    context = Halo(model.visual.map_before, model.visual.map_after)
    return dataclasses.replace(input_spec, visual=context, pose=None, points=True)


def _loader(
    windows: Windows, sampler: Sampler[WindowSpec], batch: int, workers: int
) -> DataLoader[Batch]:
    return DataLoader(
        windows,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        # Forked processes would inherit the locks of the threads that decode video.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
