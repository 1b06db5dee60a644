"""A copy of the video with what the model says painted on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dolorim.core.palette import class_colors
from dolorim.labels.predictions import Predictions
from dolorim.video.reader import FrameStream
from dolorim.video.writer import VideoWriter

_SIDE = 640  # pixels of the longer side at least, so that the text can be read
_OPEN = (128, 128, 128)  # a frame that was left open


def write_overlay(video: Path, predictions: Predictions, path: Path) -> None:
    """Write an mp4: the picture, the label, and a bar with the probability of every class beside
    it.
    """
    rate = predictions.meta.get("fps") or 30.0
    colors = class_colors(len(predictions.classes))
    writer: VideoWriter | None = None
    try:
        for frame in FrameStream(video, stop=len(predictions.labels)):
            image = _paint(frame.gray, predictions, frame.index, colors)
            if writer is None:
                writer = VideoWriter(path, image.shape[1], image.shape[0], rate)
            writer.write(image)
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    if writer is not None:
        writer.close()


def _paint(
    gray: np.ndarray, predictions: Predictions, index: int, colors: list[tuple[int, int, int]]
) -> np.ndarray:
    height, width = gray.shape
    scale = max(1.0, _SIDE / max(height, width))
    height, width = (round(s * scale / 2) * 2 for s in (height, width))
    panel = max(180, width // 3) // 2 * 2
    picture = Image.new("RGB", (width + panel, height), (24, 24, 24))
    picture.paste(Image.fromarray(np.ascontiguousarray(gray)).resize((width, height)), (0, 0))
    draw = ImageDraw.Draw(picture)
    size = max(12, min(height // 28, 22))
    font = ImageFont.load_default(size)
    label = int(predictions.labels[index])
    name, color = (predictions.classes[label], colors[label]) if label >= 0 else ("open", _OPEN)
    draw.rectangle((0, 0, width - 1, height - 1), outline=color, width=3)
    draw.rectangle((3, 3, 15 + draw.textlength(name, font), size + 14), fill=color)
    draw.text((9, 6), name, fill=(0, 0, 0) if sum(color) > 380 else (255, 255, 255), font=font)
    clock = f"frame {index}   {predictions.time_s[index]:.2f} s"
    draw.text(
        (8, height - size - 10),
        clock,
        fill=(255, 255, 255),
        font=font,
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )
    row = min(size * 2 + 8, (height - 16) // len(predictions.classes))
    for i, (name, probability) in enumerate(
        zip(predictions.classes, predictions.probabilities[index], strict=True)
    ):
        top = 8 + i * row
        draw.text(
            (width + 8, top),
            name,
            fill=(255, 255, 255) if i == label else (170, 170, 170),
            font=font,
        )
        bar_top = top + size + 3
        if bar_top + 4 <= top + row:
            length = round(float(probability) * (panel - 16))
            draw.rectangle(
                (width + 8, bar_top, width + panel - 8, top + row - 4), fill=(60, 60, 60)
            )
            draw.rectangle((width + 8, bar_top, width + 8 + length, top + row - 4), fill=colors[i])
    return np.asarray(picture)
