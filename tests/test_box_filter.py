"""Box filters by shifted sums give what SciPy's running sums give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dolorim.video.box_filter import blur, box_mean

SHAPES = [(128, 96), (1, 5), (3, 3), (20, 61)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 9, 31, 101])
def test_means_over_squares_are_those_of_scipy(shape: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    repeated = ndimage.uniform_filter(image, size, mode="nearest")
    np.testing.assert_allclose(box_mean(image, size), repeated, atol=2e-6)
    once = ndimage.uniform_filter(image, size, mode="constant")
    twice = ndimage.uniform_filter(once, size, mode="constant")
    np.testing.assert_allclose(blur(image, size), twice, atol=2e-6)
