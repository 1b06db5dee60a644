"""Simulated labels and probabilities, without video: bouts, and probabilities that flicker and
wander.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

CLASSES = ("rest", "withdraw", "lick", "walk")
RATE_HZ = 30.0


def simulate_probabilities(
    seed: int, frames: int = 3000, quality: float = 2.5
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `(frames, 4)` and labels `(frames,)` of one simulated animal; bouts last 0.5 to
    2 s on average."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, frames // 10, p=rng.dirichlet([8, 3, 3, 6]))
    seconds = np.array([2.0, 0.5, 1.0, 1.5])[labels] * rng.gamma(3, 1 / 3, len(labels))
    truth = np.repeat(labels, np.ceil(seconds * RATE_HZ).astype(int))[:frames]
    slow = gaussian_filter1d(rng.normal(size=(frames, 4)), 4, axis=0)
    scores = (
        quality * rng.uniform(0.7, 1.3) * np.eye(4)[truth]
        + slow / slow.std()
        + 0.5 * rng.normal(size=(frames, 4))
    )
    e = np.exp(2 * scores)  # twice as sure as it should be
    return e / e.sum(1, keepdims=True), truth
