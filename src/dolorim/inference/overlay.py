"""A copy of the video with its predicted labels painted on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dolorim.core.palette import class_colors
from dolorim.labels.predictions import Predictions
from dolorim.video.reader import FrameStream
from dolorim.video.writer import VideoWriter

Color = tuple[int, int, int]
_SIDE = 640  # pixels of the longer side at least, so that the text can be read
_OPEN = (128, 128, 128)  # a frame that was left open
_BACKGROUND, _BAR_BACKGROUND = (24, 24, 24), (60, 60, 60)
_WHITE, _GRAY, _BLACK = (255, 255, 255), (170, 170, 170), (0, 0, 0)
_BRIGHT = 380  # sum of red, green and blue from which on black letters read better than white


def write_overlay(video: Path, predictions: Predictions, path: Path) -> None:
    """Write an mp4: the picture with its label, and beside it a bar per class with its probability.

    Raises `UserError` where the video cannot be read or the copy cannot be written.
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
    gray: np.ndarray, predictions: Predictions, index: int, colors: list[Color]
) -> np.ndarray:
    """The picture `(height, width)` of a frame as `(height, width, 3)`, with labels and bars."""
    height, width = gray.shape
    scale = max(1.0, _SIDE / max(height, width))
    # Video codecs want even numbers of pixels.
    height, width = round(height * scale / 2) * 2, round(width * scale / 2) * 2
    panel = max(180, width // 3) // 2 * 2
    picture = Image.new("RGB", (width + panel, height), _BACKGROUND)
    picture.paste(Image.fromarray(np.ascontiguousarray(gray)).resize((width, height)), (0, 0))
    draw = ImageDraw.Draw(picture)
    size = max(12, min(height // 28, 22))
    font = ImageFont.load_default(size)
    label = int(predictions.labels[index])
    name, color = "open", _OPEN
    if label >= 0:
        name, color = predictions.classes[label], colors[label]
    draw.rectangle((0, 0, width - 1, height - 1), outline=color, width=3)
    draw.rectangle((3, 3, 15 + draw.textlength(name, font), size + 14), fill=color)
    draw.text((9, 6), name, fill=_BLACK if sum(color) > _BRIGHT else _WHITE, font=font)
    draw.text(
        (8, height - size - 10),
        f"frame {index}   {predictions.time_s[index]:.2f} s",
        fill=_WHITE,
        font=font,
        stroke_width=2,
        stroke_fill=_BLACK,
    )
    row = min(size * 2 + 8, (height - 16) // len(predictions.classes))
    left, right = width + 8, width + panel - 8
    by_class = zip(predictions.classes, predictions.probabilities[index], strict=True)
    for i, (class_name, probability) in enumerate(by_class):
        top = 8 + i * row
        draw.text((left, top), class_name, fill=_WHITE if i == label else _GRAY, font=font)
        bar_top, bar_bottom = top + size + 3, top + row - 4
        # With many classes, there is room for names alone.
        if bar_top <= bar_bottom:
            length = round(float(probability) * (panel - 16))
            draw.rectangle((left, bar_top, right, bar_bottom), fill=_BAR_BACKGROUND)
            draw.rectangle((left, bar_top, left + length, bar_bottom), fill=colors[i])
    return np.asarray(picture)
