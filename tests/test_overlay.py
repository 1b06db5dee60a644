"""The overlay shows the pose, the last seconds, and probabilities as numbers."""

from __future__ import annotations

import numpy as np

from dolorim.core.palette import class_colors
from dolorim.inference.overlay import _paint
from dolorim.labels.predictions import Predictions

NAMES = ("rest", "lick")


def test_the_strip_below_the_picture_shows_the_last_ten_seconds() -> None:
    # Twenty seconds at 10 frames/s: licking from 12 to 16 s.
    labels = np.zeros(200, np.int16)
    labels[120:160] = 1
    p = np.eye(2, dtype=np.float32)[labels] * 0.9 + 0.05
    predictions = Predictions("v", NAMES, labels, p, np.arange(200) / 10, {})
    colors = class_colors(2)
    points = np.array([[30.0, 20.0], [np.nan, np.nan]])
    image = _paint(np.zeros((64, 64), np.uint8), predictions, 199, colors, None, points)
    strip = image[640 - 10, 4:636]
    # The strip begins 10 s before the frame at 19.9 s.
    seconds = 9.9 + 10 * np.arange(len(strip)) / len(strip)
    is_lick = (strip == colors[1]).all(axis=1)
    assert abs(seconds[is_lick].min() - 12) < 0.2
    assert abs(seconds[is_lick].max() - 16) < 0.2
    # The picture is drawn ten times as large, and so is the place of the point.
    assert (image[200, 300] == 255).all()
