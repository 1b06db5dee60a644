"""Which windows training draws, and what that does to the probabilities that a network learns."""

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
    config: Config, footage: Sequence[LabelledRecording], ethogram: Ethogram, counts: np.ndarray
) -> tuple[BoutSampler, np.ndarray]:
    """What draws windows, and the share of each class among drawn frames; `counts` `(classes,)` are labelled frames."""
    settings, recordings = config.train, [f.recording for f in footage]
    boost = rare_boost(counts, settings.rare_threshold_share, settings.rare_boost_cap)
    sampler = BoutSampler(recordings, settings, config.augment, boost)
    stored = any(
        f.features is not None for f in footage
    )  # of pictures as they are: nothing is mirrored
    shares = sampler.class_shares(len(ethogram), None if stored else ethogram.mirrored)
    labelled = counts / max(counts.sum(), 1)
    text = [f"{name} {100 * a:.1f} -> {100 * b:.1f}" for name, a, b in
            zip(ethogram.classes, labelled, shares, strict=True)]  # fmt: skip
    say(f"share of frames in %, labelled -> drawn: {', '.join(text)}")
    for name, share in zip(ethogram.classes, shares, strict=True):
        if share == 0 and shares.any():
            warn(f"no training animal shows {name}; the run cannot learn it")
    return sampler, shares


def prior_decoder(
    settings: TrainConfig, ethogram: Ethogram, counts: np.ndarray, shares: np.ndarray
) -> Decoder:
    """What corrects the network's probabilities for how often each class was drawn and how it was weighted."""
    if settings.focal_gamma and settings.logit_adjustment:
        say(
            "focal loss and logit adjustment together: probabilities are not corrected for what was drawn and weighted"
        )
        return Decoder()
    factors = prior_factors(counts, learned_shares(settings, shares))
    if not factors:
        return Decoder()
    text = ", ".join(
        f"{name} {factor:.3g}" for name, factor in zip(ethogram.classes, factors, strict=True)
    )
    detail(f"probabilities are corrected for what was drawn and weighted by these factors: {text}")
    return Decoder(prior=factors, focal_gamma=settings.focal_gamma)
