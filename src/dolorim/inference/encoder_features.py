"""Features of an encoder for every frame of a recording, in constant memory or kept on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from dolorim.core.errors import UserError
from dolorim.inference.encoder_folder import Encoder
from dolorim.inference.hardware import pick_device
from dolorim.inference.streaming import blocks_of
from dolorim.models.frame_encoder import seen_window
from dolorim.video.cache import CachedVideo, alone_with, feature_file
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
    network = encoder.network.to(device).eval()
    for stretch in _stretches(blocks, network.reach):
        frames = torch.from_numpy(stretch).to(device).float()[None] / 255
        with torch.inference_mode():
            yield network(seen_window(frames, crop_scale))[0].float().cpu().numpy()


def stored_encoder_features(
    encoder: Encoder, video: CachedVideo, crop_scale: float, accelerator: str = "cpu"
) -> np.ndarray:
    """Features `(time, width)` float16 of a cached video, computed once and kept beside its frames.

    Raises `UserError` if they cannot be written.
    """
    path = feature_file(video, f"{encoder.key}-{crop_scale:g}")
    try:
        # Another process may be computing the same; the file appears when it is complete.
        with contextlib.nullcontext() if path.exists() else alone_with(path):
            if not path.exists():
                parts = encoder_features(encoder, blocks_of(video), crop_scale, accelerator)
                part = path.with_suffix(".part.npy")
                np.save(part, np.concatenate([features.astype(np.float16) for features in parts]))
                part.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", where=path, remedy="choose another --cache DIR"
        ) from None
    features: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return features


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
