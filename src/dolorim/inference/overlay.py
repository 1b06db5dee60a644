"""A copy of the video with its predicted labels painted on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dolorim.core.palette import class_colors
from dolorim.core.runs import runs
from dolorim.files.recordings import Chamber
from dolorim.inference.raw_prediction import RawPrediction
from dolorim.labels.predictions import Predictions
from dolorim.video.reader import Frame, FrameStream
from dolorim.video.writer import VideoWriter

Color = tuple[int, int, int]
_SIDE = 640  # pixels of the longer side at least, so that the text can be read
_OPEN = (128, 128, 128)  # a frame that was left open
_BACKGROUND, _BAR_BACKGROUND = (24, 24, 24), (60, 60, 60)
_WHITE, _GRAY, _BLACK = (255, 255, 255), (170, 170, 170), (0, 0, 0)
_STRIP_S = 10.0  # seconds before a frame that the strip of labels below it shows
_STRIP_PX = 14
_BRIGHT = 380  # sum of red, green and blue from which on black letters read better than white


@dataclass(frozen=True)
class ShownChamber:
    """What to draw of one chamber: its labels, and the windows that the network looked at."""

    chamber: Chamber
    predictions: Predictions
    windows: np.ndarray | None = None


def windows_of(raw: RawPrediction) -> np.ndarray | None:
    """The crop windows `(frames, 4)` as x0, y0, x1, y1 in pixels of the video, if there are any."""
    if raw.centers_px is None or not len(raw.centers_px):
        return None
    half = raw.side_px / 2
    return np.concatenate([raw.centers_px - half, raw.centers_px + half], axis=1)


def write_overlay(
    video: Path,
    predictions: Predictions,
    path: Path,
    windows: np.ndarray | None = None,
    points_px: np.ndarray | None = None,
) -> None:
    """Write an mp4: the picture with its label, a strip with the labels of the last seconds, and
    beside it a bar per class with its probability.

    A box shows the animal that is judged: the window of each frame in `windows` (`windows_of`).
    `points_px` `(frames, keypoint, 2)` are its keypoints in pixels of the video, NaN where missing.
    Raises `UserError` where the video cannot be read or the copy cannot be written.
    """
    colors = class_colors(len(predictions.classes))

    def paint(frame: Frame) -> np.ndarray:
        window = None if windows is None else windows[frame.index]
        points = None
        if points_px is not None and frame.index < len(points_px):
            points = points_px[frame.index]
        return _paint(frame.gray, predictions, frame.index, colors, window, points)

    _write(video, len(predictions.labels), predictions.meta.get("fps") or 30.0, paint, path)


def write_rack_overlay(video: Path, shown: Sequence[ShownChamber], path: Path) -> None:
    """Write an mp4 of all chambers in one picture, each with its label and its animal's window.

    Raises `UserError` as `write_overlay` does.
    """
    n_frames = max(len(one.predictions.labels) for one in shown)
    rate = shown[0].predictions.meta.get("fps") or 30.0
    _write(video, n_frames, rate, lambda frame: _paint_rack(frame, shown), path)


def _write(
    video: Path, n_frames: int, rate: float, paint: Callable[[Frame], np.ndarray], path: Path
) -> None:
    writer: VideoWriter | None = None
    try:
        for frame in FrameStream(video, stop=n_frames):
            image = paint(frame)
            if writer is None:
                writer = VideoWriter(path, image.shape[1], image.shape[0], rate)
            writer.write(image)
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    if writer is not None:
        writer.close()


def _paint_rack(frame: Frame, shown: Sequence[ShownChamber]) -> np.ndarray:
    """The picture of a frame as `(height, width, 3)`, with the label of every chamber."""
    height, width = frame.luma.shape
    scale = max(1.0, 2 * _SIDE / max(height, width))
    # Video codecs want even numbers of pixels.
    height, width = round(height * scale / 2) * 2, round(width * scale / 2) * 2
    gray = Image.fromarray(np.ascontiguousarray(frame.gray)).convert("RGB")
    picture = gray.resize((width, height))
    draw = ImageDraw.Draw(picture)
    for one in shown:
        x0, y0, x1, y1 = (edge * scale for edge in one.chamber.box)
        font = ImageFont.load_default(max(12, min(round((y1 - y0) / 16), 22)))
        text, color = f"{one.chamber.name}: nobody", _OPEN
        is_empty = one.predictions.meta.get("empty", False)
        if not is_empty and frame.index < len(one.predictions.labels):
            name, color = _label_at(one.predictions, frame.index)
            text = f"{one.chamber.name}: {name}"
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=color, width=2)
        if one.windows is not None and frame.index < len(one.windows):
            draw.rectangle([*(one.windows[frame.index] * scale)], outline=_WHITE)
        tag = draw.textbbox((x0 + 6, y0 + 4), text, font=font)
        draw.rectangle((x0 + 2, y0 + 2, tag[2] + 4, tag[3] + 2), fill=color)
        draw.text((x0 + 6, y0 + 4), text, fill=_letters_on(color), font=font)
    return np.asarray(picture)


def _label_at(predictions: Predictions, index: int) -> tuple[str, Color]:
    """The name and the color of a frame's label."""
    label = int(predictions.labels[index])
    if label < 0:
        return "open", _OPEN
    return predictions.classes[label], class_colors(len(predictions.classes))[label]


def _letters_on(color: Color) -> Color:
    return _BLACK if sum(color) > _BRIGHT else _WHITE


def _paint(
    gray: np.ndarray,
    predictions: Predictions,
    index: int,
    colors: list[Color],
    window: np.ndarray | None = None,
    points: np.ndarray | None = None,
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
    name, color = _label_at(predictions, index)
    if window is not None:
        draw.rectangle([*(window * scale)], outline=_WHITE)
    if points is not None:
        _draw_points(draw, points * scale)
    _draw_strip(draw, predictions, index, (3, height - 3 - _STRIP_PX, width - 3, height - 3))
    draw.rectangle((0, 0, width - 1, height - 1), outline=color, width=3)
    draw.rectangle((3, 3, 15 + draw.textlength(name, font), size + 14), fill=color)
    draw.text((9, 6), name, fill=_letters_on(color), font=font)
    draw.text(
        (8, height - size - 14 - _STRIP_PX),
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
        ink = _WHITE if i == label else _GRAY
        draw.text((left, top), class_name, fill=ink, font=font)
        percent = f"{100 * float(probability):.0f} %"
        draw.text((right, top), percent, fill=ink, font=font, anchor="ra")
        bar_top, bar_bottom = top + size + 3, top + row - 4
        # With many classes, there is room for names alone.
        if bar_top <= bar_bottom:
            length = round(float(probability) * (panel - 16))
            draw.rectangle((left, bar_top, right, bar_bottom), fill=_BAR_BACKGROUND)
            draw.rectangle((left, bar_top, left + length, bar_bottom), fill=colors[i])
    return np.asarray(picture)


def _draw_points(draw: ImageDraw.ImageDraw, points: np.ndarray) -> None:
    """A dot at every keypoint `(keypoint, 2)` that is there."""
    for x, y in points[np.isfinite(points).all(axis=1)]:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_WHITE, outline=_BLACK)


def _draw_strip(
    draw: ImageDraw.ImageDraw,
    predictions: Predictions,
    index: int,
    box: tuple[float, float, float, float],
) -> None:
    """The labels of the last seconds from left to right; the frame itself is at the right end."""
    x0, y0, x1, y1 = box
    now_s = predictions.time_s[index]
    first = int(np.searchsorted(predictions.time_s, now_s - _STRIP_S))
    for start, stop, label in zip(*runs(predictions.labels[first : index + 1]), strict=True):
        color = _OPEN if label < 0 else class_colors(len(predictions.classes))[label]
        ends_s = predictions.time_s[[first + start, min(first + stop, index)]] - now_s
        left, right = x1 + ends_s / _STRIP_S * (x1 - x0)
        draw.rectangle((max(left, x0), y0, max(right, left + 1), y1), fill=color)
