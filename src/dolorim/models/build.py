"""From settings to a network."""

from __future__ import annotations

from typing import assert_never

from dolorim.config import ModelConfig
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.heads import ActionHead
from dolorim.models.recognizer import Recognizer

FEATURES, HIDDEN = 512, 256


def build_recognizer(config: ModelConfig, n_classes: int) -> Recognizer:
    stages: tuple[int, ...]
    match config.model_type:
        case "light":
            stages = (8, 16, 32, 64)
        case "standard":
            stages = (24, 48, 96, 192, 320)
        case _:
            assert_never(config.model_type)
    visual = Cnn3d(
        stages, config.clip_length, FEATURES, config.dropout, config.appearance_dropout, config.convolution_dropout
    )
    return Recognizer(visual, ActionHead(FEATURES, HIDDEN, n_classes, config.dropout))
