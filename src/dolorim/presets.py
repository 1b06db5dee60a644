"""The approaches, as values. Each is a composition of the same parts."""

from __future__ import annotations

import dataclasses
from typing import Any

from dolorim.config import Config

_PLAIN = Config()

VIDEO = Config(approach="video")

# Longer windows than for video alone: the pose's context is paid for once a window.
MULTIMODAL = Config(
    approach="multimodal",
    model=dataclasses.replace(_PLAIN.model, pose="full"),
    train=dataclasses.replace(_PLAIN.train, train_T=32, batch_size=8, lr=1e-3, epochs=60),
)

# Half a trial in a window: the temporal network learns with about as much context as it sees of a whole one.
MULTITASK = Config(
    approach="multitask",
    data=dataclasses.replace(_PLAIN.data, image_size=112),  # a multiple of the patches of both kinds of transformer
    model=dataclasses.replace(_PLAIN.model, pose="full", temporal="tcn", tasks="multitask"),
    train=dataclasses.replace(_PLAIN.train, train_T=180, batch_size=2, lr=1e-3, epochs=100, early_stopping_patience=20),
)

PRESETS = {c.approach: c for c in (VIDEO, MULTIMODAL, MULTITASK)}

# The recipe of the pipeline that dolorim was built to outdo, for comparison: many corrections at once.
_CLASSIC: dict[str, dict[str, Any]] = {
    "train": {
        "focal_gamma": 2.5,
        "label_smoothing": 0.1,
        "lambda_smooth": 0.15,
        "rare_threshold_share": 0.05,
        "rare_boost_cap": 30.0,
        "class_weights": "inverse",
        "class_weight_power": 1.0,
        "sampling": "frames",
        "lr": 5e-5,
        "weight_decay": 5e-2,
        "warmup_epochs": 2.0,
        "ema_decay": 0.999,
        "early_stopping_patience": 20,
        "min_frames": 345,
        "epochs": 50,
        "decoder": "argmax",
        "kp_frames": 0,
        "lambda_kp_map": 0.0,
    },
    "augment": {"kp_jitter_std": 0.02, "aug_temporal_drop": 0.05, "kp_hide": 0.0},
    "model": {"modality_dropout": 0.0},
    "data": {"kp_likelihood_thr": 0.9},
}

RECIPES: dict[str, dict[str, dict[str, Any]]] = {"default": {}, "classic": _CLASSIC}

# Small and quick, for the simulated study: it shows that everything works, not how well.
DEMO = dataclasses.replace(VIDEO, data=dataclasses.replace(VIDEO.data, image_size=64))
