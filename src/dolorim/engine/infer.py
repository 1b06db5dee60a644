"""Frames in, probabilities out, for a video of any length in constant memory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dolorim.data.cache import CachedVideo
from dolorim.data.crop import Crops
from dolorim.engine.hardware import Precision, autocast, pick_precision
from dolorim.models.recognizer import Recognizer


class Predictor:
    """A trained recognizer made ready to predict: normalizations folded into convolutions, on its device.

    `chunk` frames are decided at a time. Their number has no influence on the result: each chunk comes with the real
    frames around it, and only a video's own ends are padded with its outermost frames.
    """

    def __init__(self, model: Recognizer, device: torch.device, precision: str = "auto", chunk: int = 64) -> None:
        self.model = fold_normalization(model).to(device)
        self.device, self.chunk = device, chunk
        self.precision: Precision = pick_precision(precision, device)
        self.before, self.after = model.visual.before, model.visual.after

    def stream(self, blocks: Iterable[Crops]) -> Iterator[np.ndarray]:
        """Probabilities `(frames, classes)` float32 of consecutive frames, a chunk at a time."""
        images: np.ndarray | None = None
        centers = np.empty((0, 2), np.float32)
        for block in blocks:
            if len(block.images) == 0:
                continue
            if images is None:
                images, centers = (_repeat(a[:1], self.before) for a in (block.images, block.centers))
            images = np.concatenate([images, block.images])
            centers = np.concatenate([centers, block.centers])
            while len(images) >= self.chunk + self.before + self.after:
                yield self._decide(images, centers, self.chunk)
                images, centers = images[self.chunk :], centers[self.chunk :]
        if images is None:
            return
        images = np.concatenate([images, _repeat(images[-1:], self.after)])
        centers = np.concatenate([centers, _repeat(centers[-1:], self.after)])
        while (left := len(images) - self.before - self.after) > 0:
            yield self._decide(images, centers, min(self.chunk, left))
            images, centers = images[self.chunk :], centers[self.chunk :]

    def __call__(self, blocks: Iterable[Crops]) -> np.ndarray:
        """Probabilities `(time, classes)` of a whole video."""
        return np.concatenate([*self.stream(blocks)])

    @torch.inference_mode()
    def _decide(self, images: np.ndarray, centers: np.ndarray, frames: int) -> np.ndarray:
        stop = frames + self.before + self.after
        pictures = torch.from_numpy(images[:stop]).to(self.device, non_blocking=True)
        track = torch.from_numpy(centers[:stop]).to(self.device, non_blocking=True)
        with autocast(self.device, self.precision):
            logits = self.model(pictures[None, None].float() / 255, track[None], halo=True)
        return logits[0].float().softmax(-1).cpu().numpy()


def fold_normalization(model: Recognizer) -> Recognizer:
    """A copy in evaluation mode whose convolutions carry the batch normalization that follows them."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for i, (one, two) in enumerate(itertools.pairwise(list(module))):
                if isinstance(one, nn.Conv2d) and isinstance(two, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(one, two), nn.Identity()
    return model


def blocks_of(video: CachedVideo, size: int = 256) -> Iterator[Crops]:
    """A cached video as the stream that a decoded one would be."""
    images, centers, time_s, turns = video.images, video.centers, video.time_s, video.turns
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield Crops(start, np.asarray(images[part]), centers[part], time_s[part], turns[part])


def _repeat(frame: np.ndarray, times: int) -> np.ndarray:
    return np.repeat(frame, times, axis=0)
