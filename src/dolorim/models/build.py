"""From settings to a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, assert_never, cast

from dolorim.config import Config, ModelConfig
from dolorim.core.errors import UserError
from dolorim.models.cnn3d import Cnn3d
from dolorim.models.frame_encoder import STAGES, FrameEncoder, WindowEncoder, scale_of_crops
from dolorim.models.heads import ActionHead, SpatialKeypointHead
from dolorim.models.motion_maps import LAGS, lags_within
from dolorim.models.paw_brightness import PawBrightness
from dolorim.models.pose import HEADS, PoseEncoder
from dolorim.models.quick import FrameFeatures, PoseFeatures, QuickEncoder, QuickRecognizer
from dolorim.models.quick_heads import QuickHead
from dolorim.models.recognizer import Fusion, Recognizer
from dolorim.models.tcn import Tcn
from dolorim.pose.features import feature_names
from dolorim.pose.pose import NO_SKELETON, Skeleton

if TYPE_CHECKING:
    from dolorim.models.clips import ClipEncoder
    from dolorim.models.vit import Vit2d

    VisualEncoder = Cnn3d | Vit2d | ClipEncoder

_CNN_WIDTH = 512  # features of the 3D CNN, where nothing but the action head follows it
_HIDDEN = 256  # of the action head
_KEYPOINT_HIDDEN = 64  # channels of the keypoint head

# Channels after each halving of the picture.
_LIGHT = (8, 16, 32, 64)
_STANDARD = (24, 48, 96, 192, 320)


def build_recognizer(
    config: ModelConfig, n_classes: int, skeleton: Skeleton = NO_SKELETON, image_size: int = 128
) -> Recognizer:
    """Build the network of a `config`, with random weights.

    `image_size` is the side of its pictures in pixels, `skeleton` that of its poses. Raises
    `UserError` for settings that contradict each other.
    """
    _refuse_contradictions(config, skeleton)
    # Random weights are drawn in this order: with another one, a seed gives another network.
    visual = _visual_encoder(config, skeleton, image_size)
    pose = _pose_encoder(config, skeleton)
    paws = _paw_brightness(config, skeleton)
    fusion = None if _decides_alone(config) else _fusion(config, visual, pose, paws)
    temporal = None
    if config.temporal == "tcn":
        temporal = Tcn(
            config.width, config.hidden_dim, config.tcn_layers, config.dropout, config.causal
        )
    action = ActionHead(_decision_width(config), _HIDDEN, n_classes, config.dropout)
    keypoints = None
    if config.tasks == "multitask":
        assert visual is not None
        n_keypoints = len(skeleton.keypoints)
        keypoints = SpatialKeypointHead(visual.map_channels, _KEYPOINT_HIDDEN, n_keypoints)
    return Recognizer(visual, pose, fusion, temporal, action, keypoints, paws, config.tcn_step)


def _refuse_contradictions(config: ModelConfig, skeleton: Skeleton) -> None:
    if config.visual == config.pose == "none":
        raise UserError(
            "--visual none and --pose none leave nothing to learn from; choose one of them"
        )
    _refuse_keypoint_contradictions(config, skeleton)
    _refuse_encoder_contradictions(config)
    if config.pose != "none" and config.pose_reach and config.width % HEADS:
        raise UserError(
            f"--width {config.width}: expected a multiple of {HEADS}, "
            "the number of attention heads of the pose stream"
        )
    looks_around = config.visual != "none" or config.pose_reach or config.temporal == "none"
    if config.tcn_step > 1 and looks_around:
        raise UserError(
            "--tcn_step above 1 is for poses alone: use --visual none --pose_reach 0 "
            "--temporal tcn with it"
        )


def build_quick(
    config: Config,
    skeleton: Skeleton = NO_SKELETON,
    windows: Sequence[int] = (),
    heads: Mapping[str, QuickHead] | None = None,
    weights: Sequence[float] = (),
) -> QuickRecognizer:
    """Build a quick recognizer, whose encoders have random weights.

    Without heads, it serves to compute features.
    """
    visual = pose = None
    if config.model.visual != "none":
        visual = FrameFeatures(_quick_encoders(config, skeleton))
    elif config.model.encoder:
        raise UserError(
            f"--encoder {config.model.encoder} looks at pictures, and --visual none at none; "
            "leave one of the two out"
        )
    if config.model.pose != "none":
        names = feature_names(config.model.pose, skeleton.keypoints, skeleton.animals)
        pose = PoseFeatures(len(names))
    return QuickRecognizer(visual, pose, windows, heads or {}, weights).eval()


def _quick_encoders(config: Config, skeleton: Skeleton) -> list[QuickEncoder]:
    """The frozen encoder that the settings name, for what quick heads see."""
    if not _is_cnn(config.model):
        encoder = _visual_encoder(config.model, skeleton, config.data.image_size)
        return [cast("QuickEncoder", encoder)]
    if config.model.encoder:
        return [WindowEncoder(FrameEncoder(), scale_of_crops(config.data))]
    return []


def _refuse_keypoint_contradictions(config: ModelConfig, skeleton: Skeleton) -> None:
    if config.tasks != "multitask":
        return
    if config.visual == "none" or not skeleton.keypoints:
        raise UserError(
            "--tasks multitask learns keypoints from video and pose files; give both, "
            "or use --tasks action_only"
        )
    if skeleton.animals > 1:
        raise UserError(
            "--tasks multitask learns the keypoints of one animal; name it with --individual, "
            "or use --tasks action_only"
        )


def _refuse_encoder_contradictions(config: ModelConfig) -> None:
    if config.visual != "vit_2d" and (config.input == "maps" or config.encoder_turns > 1):
        flag = "--input maps" if config.input == "maps" else "--encoder_turns 4"
        raise UserError(f"{flag} is for --visual vit_2d; leave it out with {config.visual}")
    if not config.encoder:
        return
    if config.visual != "cnn3d":
        raise UserError(
            f"--encoder {config.encoder} holds weights for the 3D CNN, "
            f"and --visual {config.visual} has no use for them; leave one of the two out"
        )
    if lags_within(config.clip_length) != LAGS:
        raise UserError(
            f"--clip_length {config.clip_length}: --encoder compares frames that are "
            f"{2 * max(LAGS)} apart; use clips of {2 * max(LAGS) + 1} frames or more"
        )


def _is_cnn(config: ModelConfig) -> bool:
    return config.visual in ("cnn3d", "motion_features")


def _has_both_streams(config: ModelConfig) -> bool:
    return config.visual != "none" and config.pose != "none"


def _decides_alone(config: ModelConfig) -> bool:
    """Does the action head read the 3D CNN directly, with nothing between them?"""
    return _is_cnn(config) and not _has_both_streams(config) and config.temporal == "none"


def _decision_width(config: ModelConfig) -> int:
    if config.temporal == "tcn":
        return config.hidden_dim
    return _CNN_WIDTH if _decides_alone(config) else config.width


def _visual_encoder(
    config: ModelConfig, skeleton: Skeleton, image_size: int
) -> VisualEncoder | None:
    match config.visual:
        case "none":
            return None
        case "cnn3d" | "motion_features":
            return _cnn(config)
        case "vit_2d":
            from dolorim.models.vit import DEFAULT, Vit2d  # takes seconds to import

            # Patch tokens are read at the keypoints only where there is a pose stream too.
            n_keypoints = len(skeleton.keypoints) if _has_both_streams(config) else 0
            name = config.encoder_name or DEFAULT
            return Vit2d(name, image_size, n_keypoints, config.input, config.encoder_turns)
        case "videomae2_3d":
            from dolorim.models.videomae import VideoMae3d

            return VideoMae3d(config.encoder_name or "videomae2_small", image_size)
        case "vjepa2_3d":
            from dolorim.models.vjepa import DEFAULT as VJEPA2
            from dolorim.models.vjepa import VJepa2

            return VJepa2(config.encoder_name or VJEPA2, image_size)
        case _:
            assert_never(config.visual)


def _cnn(config: ModelConfig) -> Cnn3d:
    cnn = Cnn3d(
        _stages(config),
        config.clip_length,
        _CNN_WIDTH if _decides_alone(config) else config.width,
        config.dropout,
        config.appearance_dropout,
        config.convolution_dropout,
        convolutions=config.visual == "cnn3d",
    )
    # Without convolutions in the decision, only the keypoint head can teach them anything.
    if config.visual == "motion_features" and config.tasks == "action_only":
        cnn.freeze_convolutions()
    return cnn


def _stages(config: ModelConfig) -> tuple[int, ...]:
    """Channels after each halving of the picture; with an encoder, those of the encoder."""
    if config.encoder:
        return STAGES
    return _LIGHT if config.model_type == "light" else _STANDARD


def _pose_encoder(config: ModelConfig, skeleton: Skeleton) -> PoseEncoder | None:
    if config.pose == "none":
        return None
    names = feature_names(config.pose, skeleton.keypoints, skeleton.animals)
    return PoseEncoder(len(names), config.width, reach=config.pose_reach, dropout=config.dropout)


def _paw_brightness(config: ModelConfig, skeleton: Skeleton) -> PawBrightness | None:
    if config.pose != "none" and _is_cnn(config) and skeleton.animals == 1:
        return PawBrightness(len(skeleton.keypoints))
    return None


def _fusion(
    config: ModelConfig,
    visual: VisualEncoder | None,
    pose: PoseEncoder | None,
    paws: PawBrightness | None,
) -> Fusion:
    visual_width = visual.width if visual else 0
    pose_width = sum(part.width for part in (pose, paws) if part is not None)
    return Fusion((visual_width, pose_width), config.width, config.fusion, config.dropout)
