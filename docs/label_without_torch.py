"""Label a video without PyTorch: `python label_without_torch.py model.onnx VIDEO`.

Needs numpy, scipy, pillow, av, and onnxruntime. The crops come from dolorim's video package, which
never imports PyTorch: `pip install --no-deps dolorim`, and pydantic, tomli-w, rich, and filelock.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime

from dolorim.config import DataConfig
from dolorim.video.crop_stream import open_crops
from dolorim.video.reader import probe


def crops_of(video: Path, about: dict) -> tuple[np.ndarray, np.ndarray]:
    """All crops `(time, size, size)` of a video, and the centers of their windows `(time, 2)`."""
    settings, info = dict(about["crops"]), probe(video)
    size = f"{info.width_px}x{info.height_px}"
    settings["body_length_px"] = settings["body_length_px"] or about["body_lengths_px"].get(size)
    blocks = list(open_crops(video, DataConfig(**settings)))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.centers for b in blocks])


def windows(n_frames: int, about: dict) -> Iterator[tuple[int, np.ndarray]]:
    """The first frame that each call decides on, and the frames `(window,)` that it looks at."""
    for start in range(0, n_frames, about["frames"]):
        first = start - about["before"]
        yield start, np.arange(first, first + about["window"])


def main() -> None:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["dolorim"])
    images, centers = crops_of(Path(sys.argv[2]), about)
    n_frames = len(images)
    print("frame", *about["classes"], sep=",")
    for start, wanted in windows(n_frames, about):
        there = wanted.clip(0, n_frames - 1)  # beyond the ends, the outermost frame is repeated
        given = {"images": images[there], "crop_centers": centers[there]}
        if about["read_before"] + about["read_after"]:
            read = np.arange(
                start - about["read_before"], start + about["frames"] + about["read_after"]
            )
            given["inside"] = (read >= 0) & (read < n_frames)
        [probabilities] = session.run(None, given)
        for frame, row in enumerate(probabilities[: n_frames - start], start):
            print(frame, *(f"{p:.4f}" for p in row), sep=",")


if __name__ == "__main__":
    main()
