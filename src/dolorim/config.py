"""Every knob there is. A run is one frozen `Config`; it is written to the run folder and can be read back."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dolorim.core.errors import UserError
from dolorim.files.structured import read_toml

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0)]
Visual = Literal["cnn3d", "motion_features", "vit_2d", "videomae2_3d", "none"]
PoseKind = Literal["none", "graph", "full", "generic"]
_CONVOLUTION_DROPOUT = 0.5


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """Where the data are and how they are to be read."""

    videos: Path | None = None
    """Folder with the videos."""
    annotations: Path | None = None
    """Folder with the label files, prediction_<video>_<trial>.csv."""
    label_format: Literal[
        "auto", "frames", "boris", "deepethogram", "simba", "caltech", "bouts", "nwb"
    ] = "auto"
    """Format of the label files; auto tells it from their content."""
    label_stream: str | None = None
    """Which of several subjects (BORIS) or streams (Caltech) in a label file."""
    label_gaps: str = ""
    """Class of frames that bouts leave out (rest), in formats that list bouts; without it they are unlabelled."""
    point_events: Literal["keep", "conflict", "drop"] = "keep"
    """A point event inside a state (BORIS): keep gives its frame to the point, conflict calls two behaviors in one
    frame a contradiction, drop leaves point events out."""
    label_counts_from: Literal["auto", "0", "1"] = "auto"
    """What the frame numbers in label files of rows count from; auto tells it from each file, and says its doubts."""
    label_step: Positive | None = None
    """Frames of the video for each row of a label file: 2 for labels made at half its rate, 1 for a row a frame.
    Without it 1, and a file that looks otherwise is asked about."""
    on_conflict: Literal["error", "warn"] = "error"
    """What follows where labels contradict their video, the ethogram or themselves."""
    classes: Path | None = None
    """Ethogram: a .toml or a table id,name[,merged]. Without it: the eight pain behaviors, merged into six."""
    dlc: Path | None = None
    """Folder with the pose files, <video>DLC_....csv or .h5. Without it: those that lie beside the videos."""
    recordings: Path | None = None
    """Table video,animal[,...] that says whose each video is."""
    animal_pattern: str = r"(?<![A-Za-z0-9.])\d+(?:\.\d+)?[MFmf](?![A-Za-z0-9])"
    """Where there is no such table: what in a file name is the animal (267M). Else each video is an animal."""
    trial_layout: Literal["auto", "fixed", "cumulative"] = "auto"
    """Where trial k lies in its video: at (k-1)*trial_length, or behind the trials before it."""
    trial_length: Positive = 360
    """Frames of a trial in the fixed layout."""
    label_context: NotNegative = 15
    """Frames that a shorter label file lacks at the front of its trial (360 - 345)."""
    kp_names: str = ""
    """Keypoints by the names in the pose file: theirs=ours,... for those that are not understood by themselves."""
    individual: str | None = None
    """Where a pose file tracks several animals: whose points are meant; all for every animal's."""
    kp_likelihood_thr: Share = 0.6
    """Points with a lower likelihood are taken for missing."""
    kp_max_gap: NotNegative = 5
    """Gaps of up to this many frames are bridged by straight lines; longer ones stay missing."""
    pose_lag: int = 0
    """Frames by which the pose is late: row t belongs to frame t - pose_lag. `dolorim check` estimates it."""
    rate_hz: Annotated[float, Field(gt=0)] = 30.0
    """Frames per second of recordings that have a pose and no video."""
    crop: Literal["follow", "pose", "none"] = "follow"
    """Look at a window that follows the animal, found in the picture or by its pose, or at the whole picture."""
    align: Literal["none", "heading"] = "none"
    """heading: with --crop pose, turn the window so that the animal looks upwards."""
    crop_scale: Annotated[float, Field(gt=0)] = 1.6
    """Side of the follow crop in body lengths."""
    body_length_px: Annotated[float, Field(gt=0)] | None = None
    """Body length of a stretched animal. Without it: the median of the estimates from the project's videos of one
    picture size, which the run keeps for prediction; for another size, an estimate from each video alone."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 128
    """Side in pixels of the picture that the network sees."""
    mask: str = ""
    """Regions of the picture to blank: x0,y0,x1,y1 in pixels; several divided by ';'."""
    cache: Path | None = None
    """Folder of the frame cache. Without it: the user's cache folder."""
    allow_damaged: bool = False
    """Train on the readable part of damaged videos too."""


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The network: streams that see, what joins them, what looks along time, and heads."""

    visual: Visual = "cnn3d"
    """What looks at the video: the 3D CNN; motion_features, its measurements of shape and motion without
    its convolutions, best where there are only a few bouts of each behavior; a 2D transformer or
    ConvNet frame by frame; VideoMAE clip by clip; or nothing."""
    pose: PoseKind = "none"
    """What is taken from a pose: the 18 lengths and angles of the six keypoints, these and more, what any skeleton
    and any number of animals gives, or nothing."""
    fusion: Literal["concat", "gated", "late"] = "concat"
    """How video and pose are joined: side by side, weighed against each other, or late, by the mean of decisions."""
    temporal: Literal["none", "tcn"] = "none"
    """What looks along time, beyond a clip: nothing, or a dilated temporal convolution network."""
    tasks: Literal["action_only", "multitask"] = "action_only"
    """Learn behaviors alone, or keypoints too."""
    model_type: Literal["standard", "light"] = "light"
    """3D CNN of about 3.5 million parameters, or of about 0.4 million."""
    clip_length: Positive = 16
    """Frames that one decision sees."""
    encoder_name: str = ""
    """Pretrained network: a timm name for vit_2d, a hub name or VideoMAE2 small/base for videomae2_3d."""
    encoder_weights: str = "hub"
    """Its weights: hub (local hub cache, else downloaded), a file, or random."""
    freeze_backbone_epochs: int = -1
    """Epochs in which a pretrained network stays as it is; -1 for all, so that its features are computed only once
    (with --tasks action_only)."""
    unfreeze_last: NotNegative = 0
    """Of a pretrained network that thaws, train only this many last blocks; 0 trains all."""
    width: Positive = 256
    """Features that each stream hands on, where there are several or a temporal network."""
    hidden_dim: Positive = 64
    """Channels of the temporal network."""
    tcn_layers: Positive = 6
    """Its layers; each doubles how far it sees."""
    tcn_step: Positive = 1
    """Frames between those that the temporal network compares; above 1 for behaviors that last seconds, pose alone."""
    causal: bool = False
    """The temporal network looks only back."""
    refine_stages: NotNegative = 0
    """Further temporal networks that each refine the decisions of the one before."""
    pose_reach: NotNegative = 16
    """Frames to either side that the pose stream attends to; 0 leaves attention out."""
    dropout: Share = 0.3
    modality_dropout: Share = 0.2
    """Share of training batches that lack one of two streams, so that a run also serves videos without pose."""
    appearance_dropout: Share = 0.5
    """Share of training windows that are learned from shape and motion alone, without the picture itself."""
    convolution_dropout: Share = _CONVOLUTION_DROPOUT
    """Share of training windows that are learned from measured shape and motion, without the
    convolutions. 1 is the old spelling of --visual motion_features."""

    def __post_init__(self) -> None:
        # Version 0.1.0 spelled `motion_features` as a 3D CNN whose convolutions are always dropped.
        if self.visual == "cnn3d" and self.convolution_dropout == 1:
            object.__setattr__(self, "visual", "motion_features")
            object.__setattr__(self, "convolution_dropout", _CONVOLUTION_DROPOUT)


@dataclass(frozen=True, config=_STRICT)
class AugmentConfig:
    """Random changes to training windows; 0 switches one off."""

    aug_brightness: Size = 0.2
    aug_contrast: Size = 0.4
    aug_gamma: Size = 0.5
    aug_invert: Share = 0.5
    """Share of windows turned to their negative: a coat must not tell the behavior."""
    aug_noise: Size = 0.006
    aug_shift: Size = 0.08
    """Shift, in halves of the picture's side."""
    aug_scale: Size = 0.2
    aug_rotate: Share = 1.0
    """Share of a full turn: from below, a mouse has no upright. With --align heading, share of 20 degrees: the window
    has been turned already."""
    aug_flip: Share = 0.5
    """Share of windows mirrored; classes that name a side (lick_L, lick_R) are exchanged. None are where such a class
    or keypoint lacks its partner."""
    aug_stretch: Size = 0.3
    """Time stretch of half of the windows: 0.3 is from exp(-0.3) to exp(0.3). The others keep their time."""
    kp_jitter_std: Size = 0.02
    """Noise on keypoints, in body lengths."""
    kp_hide: Share = 0.0
    """Share of keypoints hidden in a window; for two animals also the chance that one of them is."""
    aug_temporal_drop: Share = 0.0
    """Share of frames in a window replaced by the one before."""
    aug_border: Share = 0.5
    """Share of windows that are given a recording's beginning or end at a random frame."""


@dataclass(frozen=True, config=_STRICT)
class TrainConfig:
    """The training loop."""

    epochs: Positive = 30
    batch_size: Positive = 12
    train_T: Positive = 8  # noqa: N815 - the name that users know
    """Labelled frames in a training window; the network sees as many more around them as a decision needs."""
    val_T: NotNegative = 0  # noqa: N815
    """Frames that are validated at a time; 0 takes what fits. Scores do not depend on it."""
    min_frames: NotNegative = 0
    """Trials with fewer labelled frames are left out; 0 leaves none out."""
    lr: Size = 2e-3
    weight_decay: Size = 0.05
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr_schedule: Literal["cosine", "plateau"] = "cosine"
    warmup_epochs: Size = 1.0
    class_weights: Literal["inverse", "none"] = "inverse"
    """Weight of a class in the loss: the inverse of its share of frames, or 1."""
    class_weight_power: Share = 0.5
    """Power of these weights: 0.5 is the square root of the inverse, 1 the inverse itself."""
    focal_gamma: Size = 0.0
    """Focal loss; instead of class weights, not on top of them."""
    logit_adjustment: Size = 0.0
    """Tau of logit adjustment; instead of class weights, not on top of them."""
    rare_threshold_share: Share = 0.0
    """Classes with a smaller share of labelled frames count as rare and are boosted; 0 boosts none."""
    rare_boost_cap: Annotated[float, Field(ge=1)] = 30.0
    """A rare class is boosted by at most this factor."""
    label_smoothing: Share = 0.0
    soft_boundaries: NotNegative = 0
    """Frames to either side of a label's change over which it is taught as a mixture of both."""
    lambda_smooth: Size = 0.0
    """Weight of the truncated squared change of log probabilities between neighboring frames of one label."""
    lambda_kp: Size = 1.0
    """Weight of the keypoints' loss, with --tasks multitask."""
    lambda_kp_map: Size = 0.1
    """Within the keypoints' loss: weight of the cross-entropy of each heat map against a peak at the true place, beside
    the distance of the place found. 0 leaves it out."""
    kp_frames: NotNegative = 32
    """Single tracked frames from which each training step learns keypoints, drawn from all training recordings. With 0
    it learns them from the frames of its windows, which show few scenes at a time."""
    early_stopping_patience: NotNegative = 10
    """Epochs without a better validation macro-F1 before training stops; 0 never stops. With the cosine schedule they
    count from when the learning rate has come down to a tenth of its peak: before, the best is still to come."""
    use_ema: bool = True
    ema_decay: Share = 0.99
    grad_clip: Size = 1.0
    sampling: Literal["bouts", "frames"] = "bouts"
    """Draw every bout equally often, or every frame."""
    decoder: Literal["auto", "argmax"] = "auto"
    """auto: thresholds and shortest durations, fitted on validation animals; argmax: the likeliest class of a frame."""
    seed: NotNegative = 0
    val_animals: str | None = None
    """Animals that choose the checkpoint: a,b or none. Without it they are drawn."""
    test_animals: str | None = None
    """Animals that are scored once at the end: a,b or none. Without it they are drawn."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """End training early, at a good place, when this much time has passed."""
    num_workers: NotNegative = 0
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: str = "1"
    """How many devices train together, or auto for all there are."""
    num_nodes: Positive = 1
    strategy: str = "auto"
    """How several devices work together, in Lightning's words."""
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    """auto: bf16 where the hardware has the instructions, else 32."""
    compile: bool = False
    """Compile the network; where that fails, it is said, and the run goes on without."""
    warm_start: Path | None = None
    """Run folder whose weights training starts from."""
    use_wandb: bool = False
    """Log to Weights & Biases instead of TensorBoard (WANDB_MODE=offline works too)."""
    wandb_entity: str | None = None
    wandb_project: str = "dolorim"
    wandb_run_name: str | None = None
    """Without it: the run folder's name and the time."""


@dataclass(frozen=True, config=_STRICT)
class Config:
    """A whole run."""

    approach: str = "video"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def read_config(path: Path) -> Config:
    """Read a run's settings. Raises `UserError` for an unknown key, a wrong type and a value out of range."""
    data = read_toml(path)
    try:
        return TypeAdapter(Config).validate_python(data)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from None


def config_toml(config: Config) -> str:
    """The settings as TOML; what is None is left out, which reads back as None."""
    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def explain(error: ValidationError) -> str:
    """The first problem of a validation in one line."""
    first = error.errors()[0]
    where = ".".join(str(p) for p in first["loc"]) or "settings"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {where}"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {message}, found {first['input']!r}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return value.as_posix() if isinstance(value, Path) else value
