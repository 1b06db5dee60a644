"""From settings to a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from dolorim.config import ModelConfig
from dolorim.core.errors import UserError
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.heads import ActionHead, SpatialKeypointHead
from dolorim.models.paw_brightness import PawBrightness
from dolorim.models.pose import HEADS, PoseEncoder
from dolorim.models.recognizer import Fusion, Recognizer
from dolorim.models.tcn import Refinement, Tcn
from dolorim.pose.features import feature_names
from dolorim.pose.pose import NO_SKELETON, Skeleton

if TYPE_CHECKING:
    from dolorim.models.videomae import VideoMae3d
    from dolorim.models.vit import Vit2d

FEATURES, HIDDEN = 512, 256  # of the 3D CNN alone, and of the hidden layer behind it


def build_recognizer(
    config: ModelConfig, n_classes: int, skeleton: Skeleton = NO_SKELETON, image_size: int = 128
) -> Recognizer:
    """The network that `config` says, for pictures of a size and poses of a `skeleton`, with random weights.

    Raises `UserError` for settings that make no network.
    """
    if config.visual == config.pose == "none":
        raise UserError(
            "--visual none and --pose none leave nothing to learn from; choose one of them"
        )
    if config.tasks == "multitask" and (config.visual == "none" or not skeleton.keypoints):
        raise UserError(
            "--tasks multitask learns keypoints from video and pose files; name both, or use --tasks action_only"
        )
    if config.tasks == "multitask" and skeleton.animals > 1:
        raise UserError(
            "--tasks multitask learns the keypoints of one animal; name it with --individual, or use action_only"
        )
    if config.pose != "none" and config.pose_reach and config.width % HEADS:
        raise UserError(
            f"--width {config.width}: expected a multiple of {HEADS}, the heads of the pose's attention"
        )
    if config.tcn_step > 1 and (
        config.visual != "none" or config.pose_reach or config.temporal == "none"
    ):
        raise UserError(
            "--tcn_step above 1 is for poses alone: use --visual none --pose_reach 0 --temporal tcn with it"
        )
    n_keypoints = len(skeleton.keypoints)
    joined = config.visual != "none" and config.pose != "none"
    alone = config.visual == "cnn3d" and not joined and config.temporal == "none"
    visual = _visual(
        config, FEATURES if alone else config.width, n_keypoints if joined else 0, image_size
    )
    pose = paws = None
    if config.pose != "none":
        n_features = len(feature_names(config.pose, skeleton.keypoints, skeleton.animals))
        pose = PoseEncoder(
            n_features, config.width, reach=config.pose_reach, dropout=config.dropout
        )
        paws = (
            PawBrightness(n_keypoints)
            if config.visual == "cnn3d" and skeleton.animals == 1
            else None
        )
    widths = (
        visual.width if visual else 0,
        (pose.width if pose else 0) + (paws.width if paws else 0),
    )
    fusion = None if alone else Fusion(widths, config.width, config.fusion, config.dropout)
    temporal = refine = None
    if config.temporal == "tcn":
        temporal = Tcn(
            config.width, config.hidden_dim, config.tcn_layers, config.dropout, config.causal
        )
    if config.refine_stages:
        refine = Refinement(
            n_classes,
            config.hidden_dim,
            config.tcn_layers,
            config.dropout,
            config.refine_stages,
            config.causal,
        )
    width = config.hidden_dim if temporal else FEATURES if alone else config.width
    action = ActionHead(width, HIDDEN, n_classes, config.dropout)
    keypoints = None
    if config.tasks == "multitask":
        assert visual is not None
        keypoints = SpatialKeypointHead(visual.map_channels, 64, n_keypoints)
    return Recognizer(
        visual, pose, fusion, temporal, action, refine, keypoints, paws, config.tcn_step
    )


def _visual(
    config: ModelConfig, width: int, n_keypoints: int, image_size: int
) -> Cnn3d | Vit2d | VideoMae3d | None:
    match config.visual:
        case "none":
            return None
        case "cnn3d":
            return Cnn3d(
                (8, 16, 32, 64) if config.model_type == "light" else (24, 48, 96, 192, 320),
                config.clip_length,
                width,
                config.dropout,
                config.appearance_dropout,
                config.convolution_dropout,
            )
        case "vit_2d":
            from dolorim.models.vit import DEFAULT, Vit2d  # seconds to load, and only needed here

            return Vit2d(config.encoder_name or DEFAULT, image_size, n_keypoints)
        case "videomae2_3d":
            from dolorim.models.videomae import VideoMae3d

            return VideoMae3d(config.encoder_name or "videomae2_small", image_size)
        case _:
            assert_never(config.visual)
