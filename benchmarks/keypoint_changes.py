"""How far keypoints are off where a held-out block is shown as another video might show it.

Part of `python -m benchmarks.keypoints --choose`: what is chosen by these figures is chosen without
a look at the frames of another mouse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from dolorim.config import AugmentConfig
from dolorim.dataset.augmentation import augment
from dolorim.dataset.labelled_recording import Halo, LabelledRecording
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.sampling import WindowSpec
from dolorim.dataset.windows import Batch, Windows
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder

EVERY = 2  # frames of a block of which one is scored
AT_ONCE = 64  # frames
FAR_PX = 40.0
_AS_FILMED = AugmentConfig(
    aug_brightness=0, aug_contrast=0, aug_gamma=0, aug_invert=0, aug_noise=0, aug_shift=0,
    aug_scale=0, aug_rotate=0, aug_flip=0,
)  # fmt: skip
_OTHER_LIGHT = replace(_AS_FILMED, aug_brightness=0.2, aug_contrast=0.4, aug_gamma=0.7)
# How each is shown: its speed (0: the animal stands still), and other changes.
CHANGES = {
    "as filmed": (1.0, _AS_FILMED),
    "standing still": (0.0, _AS_FILMED),
    "still, in other light": (0.0, _OTHER_LIGHT),
    "still, larger or smaller": (0.0, replace(_AS_FILMED, aug_scale=0.35)),
    "still, turned": (0.0, replace(_AS_FILMED, aug_rotate=1.0)),
    "still, all of it": (0.0, replace(_OTHER_LIGHT, aug_scale=0.3, aug_rotate=1.0, aug_shift=0.15)),
}


def under_changes(run: RunFolder) -> dict[str, dict[str, float]]:
    """Mean and median distance in pixels, and the share of points further off than `FAR_PX`."""
    blocks = load_dataset(run.read_config()).part(["held_out"])
    rows = {}
    for name, (speed, change) in CHANGES.items():
        off = np.concatenate([*_distances_px(run, blocks, speed, change)])
        off = off[~np.isnan(off)]
        far = float(np.mean(off > FAR_PX))
        rows[name] = {"mean_px": float(off.mean()), "median_px": float(np.median(off)), "far": far}
    return rows


def _distances_px(
    run: RunFolder, blocks: Sequence[LabelledRecording], speed: float, change: AugmentConfig
) -> Iterator[np.ndarray]:
    """Distances `(frames, keypoint)` from the tracker, NaN where it has none in the crop."""
    predictor, mirrored = predictor_of(run, keypoints=True), run.read_ethogram().mirrored
    model, video = predictor.model.eval(), blocks[0].video
    assert model.visual is not None
    assert video is not None
    context = Halo(model.visual.map_before, model.visual.map_after)
    windows = Windows(blocks, 1, replace(predictor.input_spec, visual=context, points=True))
    specs = [
        WindowSpec(k, float(frame), speed=speed, seed=1000 * k + frame)
        for k, block in enumerate(blocks)
        for frame in range(0, block.n_frames, EVERY)
    ]
    for start in range(0, len(specs), AT_ONCE):
        batch = augment(_stacked(windows, specs[start : start + AT_ONCE]), change, mirrored)
        with torch.no_grad():
            places = model.find_keypoints(batch["frames"][:, None]).places.float()[:, 0]
        true = batch["points"][:, 0]
        distances = torch.linalg.vector_norm(places - true, dim=-1) * video.side_px / 2
        distances[(true.abs() > 1).any(-1)] = torch.nan
        yield distances.numpy()


def _stacked(windows: Windows, specs: Sequence[WindowSpec]) -> Batch:
    items = [windows[spec] for spec in specs]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}
