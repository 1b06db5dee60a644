"""Features of an encoder for every frame of a video, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from dolorim.inference.encoder_folder import Encoder
from dolorim.inference.hardware import pick_device
from dolorim.models.frame_encoder import WindowEncoder
from dolorim.video.crop import Crops

_CHUNK = 64  # frames that are encoded at a time


def encoder_features(
    encoder: Encoder, blocks: Iterable[Crops], crop_scale: float, accelerator: str = "cpu"
) -> Iterator[np.ndarray]:
    """Features `(frames, width)` float32 of all frames in order, some at a time.

    `blocks` are the crops of one video (`open_crops`, `blocks_of`), `crop_scale` body lengths wide.
    The first and the last frame are repeated, so that each frame has the context it needs.
    """
    device = pick_device(accelerator)
    network = WindowEncoder(encoder.network, crop_scale).to(device).eval()
    for stretch in _stretches(blocks, network.before):
        frames = torch.from_numpy(stretch).to(device).float()[None, None] / 255
        with torch.inference_mode():
            yield network(frames, halo=True)[0].float().cpu().numpy()


def _stretches(blocks: Iterable[Crops], reach: int) -> Iterator[np.ndarray]:
    """Frames `(at most chunk + 2 * reach, size, size)`; each stretch repeats the halo it shares."""
    waiting: np.ndarray | None = None
    for block in blocks:
        if not len(block.images):
            continue
        if waiting is None:
            waiting = np.repeat(block.images[:1], reach, axis=0)
        waiting = np.concatenate([waiting, block.images])
        while len(waiting) >= _CHUNK + 2 * reach:
            yield waiting[: _CHUNK + 2 * reach]
            waiting = waiting[_CHUNK:]
    if waiting is None:
        return
    waiting = np.concatenate([waiting, np.repeat(waiting[-1:], reach, axis=0)])
    while len(waiting) > 2 * reach:
        yield waiting[: _CHUNK + 2 * reach]
        waiting = waiting[_CHUNK:]
