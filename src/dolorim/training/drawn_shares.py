"""Which windows training draws, and how that shifts the probabilities that a network learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dolorim.config import Config, TrainConfig
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.sampling import BoutSampler, rare_boost
from dolorim.inference.decoder import Decoder, prior_factors
from dolorim.labels.ethogram import Ethogram
from dolorim.terminal import detail, say, warn
from dolorim.training.losses import learned_shares


def sampler_for(
    config: Config,
    recordings: Sequence[LabelledRecording],
    ethogram: Ethogram,
    counts: np.ndarray,
) -> tuple[BoutSampler, np.ndarray]:
    """The sampler of windows, and the share of each class `(classes,)` among drawn frames.

    `counts` `(classes,)` are labeled frames.
    """
    settings = config.train
    boost = rare_boost(counts, settings.rare_threshold_share, settings.rare_boost_cap)
    sampler = BoutSampler([f.recording for f in recordings], settings, config.augment, boost)
    # Stored features are those of pictures as they were, so their windows are never mirrored.
    stored = any(f.features is not None for f in recordings)
    shares = sampler.class_shares(len(ethogram), None if stored else ethogram.mirrored)
    if shares.any():
        for name, share in zip(ethogram.classes, shares, strict=True):
            if share == 0:
                warn(f"no training animal shows {name}; the run cannot learn it")
    return sampler, shares


def prior_decoder(
    settings: TrainConfig, ethogram: Ethogram, counts: np.ndarray, shares: np.ndarray
) -> Decoder:
    """The decoder that corrects probabilities for how often each class was drawn and weighted.

    `counts` and `shares` `(classes,)` are labeled frames, and shares among drawn frames.
    """
    if settings.focal_gamma and settings.logit_adjustment:
        say(
            "focal loss and logit adjustment together: probabilities are not corrected for how "
            "often classes were drawn and how they were weighted"
        )
        return Decoder()
    factors = prior_factors(counts, learned_shares(settings, shares))
    if not factors:
        return Decoder()
    by_class = zip(ethogram.classes, factors, strict=True)
    text = ", ".join(f"{name} {factor:.3g}" for name, factor in by_class)
    detail(f"factors that correct probabilities for drawing and weighting: {text}")
    return Decoder(prior=factors, focal_gamma=settings.focal_gamma)
