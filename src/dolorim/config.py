"""Every setting of a run. A run is one frozen `Config`, which is written to the run folder.

Fields are flags of the command line, and the docstring under a field is the flag's help.
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
import tyro
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dolorim.core.errors import UserError
from dolorim.files.removed_settings import drop_removed_settings
from dolorim.files.structured import explain, read_toml

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

# Fields of `DataConfig` by subject. Verbs offer those that they read.
STUDY_FILES = (
    *("videos", "annotations", "corrections", "recordings", "chambers", "classes", "dlc"),
    "animal_pattern",
)
LABEL_FILES = (
    "label_format",
    "label_stream",
    "label_observation",
    "label_gaps",
    "point_events",
    "on_conflict",
)
LABEL_TIMES = (
    "label_counts_from",
    "label_step",
    "trial_layout",
    "trial_length",
    "label_context",
)
POSES = ("kp_names", "individual", "kp_likelihood_thr", "kp_max_gap", "pose_lag")
CROPS = ("crop", "align", "crop_scale", "body_length_px", "image_size", "mask")

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0)]
Visual = Literal["cnn3d", "motion_features", "vit_2d", "videomae2_3d", "vjepa2_3d", "none"]
PoseKind = Literal["none", "graph", "full", "generic"]
_CONVOLUTION_DROPOUT = 0.5


@dataclass(frozen=True, config=_STRICT)
class DataConfig:
    """Where the data are and how to read them."""

    videos: Path | None = None
    """Folder with the videos."""
    annotations: Path | None = None
    """Folder with the label files, prediction_<video>_<trial>.csv."""
    corrections: Path | None = None
    """Folder of a rater in the labeling room: its label files replace those of --annotations for
    the recordings that the rater has labeled."""
    label_format: Literal[
        "auto", "frames", "boris", "deepethogram", "simba", "caltech", "bouts", "nwb"
    ] = "auto"
    """Format of the label files; auto tells it from their content."""
    label_stream: str | None = None
    """Which of several subjects (BORIS) or streams (Caltech) of a label file to read."""
    label_observation: str | None = None
    """Which observations to read from BORIS files, if a video was scored in several; * stands for
    any text (ann_*)."""
    label_gaps: str = ""
    """Class of the frames between bouts (rest), in formats that list bouts; without it, they are
    unlabeled."""
    point_events: Literal["keep", "conflict", "drop"] = "keep"
    """A point event inside a state (BORIS): keep gives the frame to the point event, conflict
    reports two behaviors in one frame as a contradiction, drop ignores point events."""
    label_counts_from: Literal["auto", "0", "1"] = "auto"
    """First frame number in label files with a row per frame; auto tells it from each file and
    warns where that is in doubt."""
    label_step: Positive | None = None
    """Frames of the video per row of a label file: 2 for labels at half its rate, 1 for a row per
    frame. Without it, 1; a file that looks different is reported."""
    on_conflict: Literal["error", "warn"] = "error"
    """What to do where labels contradict their video, the ethogram or each other."""
    classes: Path | None = None
    """Ethogram: a .toml file or a table id,name[,merged]. Without it: the eight pain behaviors,
    merged into six."""
    dlc: Path | None = None
    """Folder with the pose files, <video>DLC_....csv or .h5. Without it: those beside the videos.
    """
    recordings: Path | None = None
    """Table video,animal[,...] that tells which animal each video shows; with the columns chamber
    and x0,y0,x1,y1 (pixels), which animal each chamber of a video shows."""
    chambers: str | None = None
    """Several animals in one video, each in its own chamber. A table [video,]chamber,x0,y0,x1,y1;
    2x4 for a grid of 2 rows with 4 chambers each, A1 to B4; auto to find the chambers in the
    picture."""
    chamber: Annotated[tuple[int, int, int, int] | None, tyro.conf.Suppress] = None
    """The rectangle x0,y0,x1,y1 of the picture that a recording shows; set for each recording."""
    animal_pattern: str = r"(?<![A-Za-z0-9.])\d+(?:\.\d+)?[MFmf](?![A-Za-z0-9])"
    """Without such a table: the pattern of an animal's name in a file name (267M). A video whose
    name has none counts as an animal of its own."""
    label_origin: Literal["video", "start"] = "video"
    """What labels count from: the first frame of the video, or the start that the table of
    recordings gives (start_s or start_frame)."""
    trial_layout: Literal["auto", "fixed", "cumulative"] = "auto"
    """Where trial k lies in its video. fixed: at (k-1)*trial_length; cumulative: directly after the
    previous trial."""
    trial_length: Positive = 360
    """Frames of a trial in the fixed layout."""
    label_context: NotNegative = 15
    """Frames that a shorter label file lacks at the start of its trial (360 - 345)."""
    kp_names: str = ""
    """Names of keypoints in the pose file that are not recognized: theirs=ours,..."""
    individual: str | None = None
    """For a pose file with several animals: whose points to use; all uses every animal's."""
    kp_likelihood_thr: Share = 0.6
    """Points with a lower likelihood count as missing."""
    kp_max_gap: NotNegative = 5
    """Gaps of up to this many frames are interpolated linearly; longer ones stay missing."""
    pose_lag: int = 0
    """Frames by which the pose is late: row t belongs to frame t - pose_lag. `dolorim check`
    estimates it."""
    rate_hz: Annotated[float, Field(gt=0)] = 30.0
    """Frames per second of recordings that have a pose and no video."""
    run_rate_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frames per second that the network sees: a recording at another rate is laid on a grid of
    this rate, and every frame of it still gets a label. Without it: the rate in the middle of the
    study's own; the run keeps it."""
    crop: Literal["follow", "pose", "none"] = "follow"
    """What the network sees. follow: a window that follows the animal, which is found in the
    picture; pose: the same, found by its pose; none: the whole picture."""
    align: Literal["none", "heading"] = "none"
    """heading: with --crop pose, turn the window so that the animal faces upward."""
    crop_scale: Annotated[float, Field(gt=0)] = 1.6
    """Side of the crop window in body lengths."""
    body_length_px: Annotated[float, Field(gt=0)] | None = None
    """Body length of a stretched animal. Without it: the median of the estimates from the study's
    videos of one picture size, which the run keeps for prediction; for another size, an estimate
    from each video alone."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 128
    """Side in pixels of the picture that the network sees."""
    mask: str = ""
    """Regions of the picture to blank: x0,y0,x1,y1 in pixels; separate several with ';'."""
    cache: Path | None = None
    """Folder of the frame cache. Without it: the user's cache folder."""
    allow_damaged: bool = False
    """Also use the readable part of damaged videos."""


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """The network: an encoder per stream, their fusion, a temporal network, and heads."""

    visual: Visual = "cnn3d"
    """Encoder of the video. cnn3d: the 3D CNN; motion_features: its measurements of shape and
    motion without its convolutions, best where there are only a few bouts of each behavior; vit_2d:
    a 2D transformer or ConvNet frame by frame; videomae2_3d and vjepa2_3d: VideoMAE and V-JEPA 2
    clip by clip; none: poses alone."""
    pose: PoseKind = "none"
    """Features of the pose. graph: the 18 lengths and angles of the six keypoints; full: these and
    more; generic: those of any skeleton and any number of animals; none: poses are not used."""
    fusion: Literal["concat", "gated"] = "concat"
    """How video and pose are combined: concatenated, or weighed against each other in each frame
    (gated)."""
    temporal: Literal["none", "tcn"] = "none"
    """Network along time, beyond a clip: none, or tcn, a dilated temporal convolutional network."""
    head: Literal["network", "linear", "trees", "auto"] = "network"
    """What decides. network: the network; linear or trees: a quick head on features of frames and
    their means over time, trained in seconds; auto: all of these, and their mean, compared on
    training and validation animals."""
    tasks: Literal["action_only", "multitask"] = "action_only"
    """Learn behaviors only, or keypoints too."""
    model_type: Literal["standard", "light"] = "light"
    """Size of the 3D CNN: standard has about 3.5 million parameters, light about 0.4 million."""
    clip_length: Positive = 16
    """Frames that one decision is based on."""
    clip_s: Annotated[float, Field(gt=0, le=60)] | None = None
    """The same in seconds; it replaces --clip_length by that many frames at the run's rate."""
    encoder: str = ""
    """Folder of an encoder that `dolorim pretrain` has learned. Quick heads read its features
    beside the measurements of shape and motion. The 3D CNN starts from its weights, which stay as
    they are unless --freeze_backbone_epochs says otherwise."""
    encoder_name: str = ""
    """Pretrained network: a timm name for vit_2d; a hub name, small or base (VideoMAE2) for
    videomae2_3d; a hub name for vjepa2_3d."""
    encoder_weights: str = "hub"
    """Its weights: hub (from the local hub cache, otherwise downloaded), a file, or random."""
    input: Literal["picture", "maps"] = "picture"
    """What vit_2d looks at: the picture, or maps of outline and motion, in which coats and light
    look alike."""
    encoder_turns: Literal[1, 4] = 1
    """With 4, features of vit_2d are averaged over four turns of the picture, because an animal
    seen from below has no upright orientation; takes four times as long."""
    freeze_backbone_epochs: int = -1
    """Epochs in which a pretrained network stays frozen; -1 for all, so that its features are
    computed only once (with --tasks action_only)."""
    unfreeze_last: NotNegative = 0
    """Once a pretrained network is no longer frozen, train only this many of its last blocks; 0
    trains all."""
    width: Positive = 256
    """Features per stream, where there are several streams or a temporal network."""
    hidden_dim: Positive = 64
    """Channels of the temporal network."""
    tcn_layers: Positive = 6
    """Layers of the temporal network; each doubles the time that it sees."""
    tcn_step: Positive = 1
    """Frames between those that the temporal network compares; above 1 for behaviors that last
    seconds, learned from poses alone."""
    causal: bool = False
    """The temporal network looks only at the past."""
    pose_reach: NotNegative = 16
    """Frames to either side that the pose stream attends to; 0 disables attention."""
    dropout: Share = 0.3
    modality_dropout: Share = 0.2
    """Share of training batches that lack one of two streams, so that a run also works for videos
    without a pose."""
    appearance_dropout: Share = 0.5
    """Share of training windows that are learned from shape and motion, without the picture
    itself.
    """
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
    """Share of windows that are inverted, so that the color of a coat does not tell the behavior.
    """
    aug_noise: Size = 0.006
    aug_shift: Size = 0.08
    """Shift, in units of half the picture's side."""
    aug_scale: Size = 0.2
    aug_rotate: Share = 1.0
    """Rotation as a share of a full turn: seen from below, a mouse has no upright orientation. With
    --align heading, as a share of 20 degrees, because the window is turned already."""
    aug_flip: Share = 0.5
    """Share of windows that are mirrored; classes that name a side (lick_L, lick_R) are swapped. No
    window is mirrored if such a class or keypoint lacks its partner."""
    aug_stretch: Size = 0.3
    """Time stretch of half of the windows: 0.3 is from exp(-0.3) to exp(0.3). The others are not
    stretched."""
    kp_jitter_std: Size = 0.02
    """Noise on keypoints, in body lengths."""
    kp_hide: Share = 0.0
    """Share of keypoints that are hidden in a window; for two animals, also the probability that
    one of them is hidden."""
    aug_temporal_drop: Share = 0.0
    """Share of frames in a window that are replaced by the previous one."""
    aug_border: Share = 0.5
    """Share of windows in which a recording's beginning or end is simulated at a random frame."""


@dataclass(frozen=True, config=_STRICT)
class TrainConfig:
    """The training loop."""

    epochs: Positive = 30
    batch_size: Positive = 12
    train_T: Positive = 8  # noqa: N815 - the name that users know
    """Labeled frames in a training window; the network also sees the frames around them that a
    decision needs."""
    val_T: NotNegative = 0  # noqa: N815
    """Frames that are validated at a time; 0 chooses what fits. Scores do not depend on it."""
    min_frames: NotNegative = 0
    """Leave out trials with fewer labeled frames; 0 leaves none out."""
    lr: Size = 2e-3
    weight_decay: Size = 0.05
    lr_schedule: Literal["cosine", "plateau"] = "cosine"
    warmup_epochs: Size = 1.0
    class_weights: Literal["inverse", "none"] = "inverse"
    """Weight of a class in the loss: inverse to its share of frames, or 1."""
    class_weight_power: Share = 0.5
    """Exponent of the class weights: 0.5 is the square root of the inverse, 1 the inverse itself.
    """
    focal_gamma: Size = 0.0
    """Gamma of the focal loss, which replaces class weights."""
    logit_adjustment: Size = 0.0
    """Tau of logit adjustment, which replaces class weights."""
    rare_threshold_share: Share = 0.0
    """Classes with a smaller share of the labeled frames count as rare and are boosted; 0 boosts
    none.
    """
    rare_boost_cap: Annotated[float, Field(ge=1)] = 30.0
    """Largest factor by which a rare class is boosted."""
    label_smoothing: Share = 0.0
    soft_boundaries: NotNegative = 0
    """Frames to either side of a change of label in which the target is a mixture of both labels.
    """
    lambda_smooth: Size = 0.0
    """Weight of the truncated squared change of log probabilities between neighboring frames with
    the same label."""
    lambda_kp: Size = 1.0
    """Weight of the keypoint loss, with --tasks multitask."""
    lambda_kp_map: Size = 0.1
    """Within the keypoint loss: weight of the cross-entropy between each heat map and a peak at
    the true place, in addition to the distance of the predicted place. 0 disables it."""
    kp_frames: NotNegative = 32
    """Single tracked frames from which each training step learns keypoints, drawn from all training
    recordings. With 0, it learns them from the frames of its windows, which show few scenes at a
    time."""
    early_stopping_patience: NotNegative = 10
    """Epochs without a better validation macro-F1 before training stops; 0 never stops. With the
    cosine schedule, counting begins when the learning rate has fallen to a tenth of its peak: the
    best epochs come after that."""
    use_ema: bool = True
    ema_decay: Share = 0.99
    sampling: Literal["bouts", "frames"] = "bouts"
    """Draw all bouts equally often, or all frames."""
    decoder: Literal["auto", "argmax"] = "auto"
    """auto: thresholds and minimum durations, fitted on validation animals; argmax: the most
    likely class of each frame."""
    seed: NotNegative = 0
    val_animals: str | None = None
    """Animals that choose the checkpoint: a,b or none. Without it, they are drawn."""
    test_animals: str | None = None
    """Animals that are scored once at the end: a,b or none. Without it, they are drawn."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """End training early, at a good epoch, after about this time."""
    stop_at_f1: Annotated[float, Field(gt=0, le=1)] | None = None
    """End training after the first epoch in which macro-F1 on the validation animals reaches
    this."""
    num_workers: NotNegative = 0
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: str = "1"
    """How many devices train together, or auto for all available ones."""
    num_nodes: Positive = 1
    strategy: str = "auto"
    """How several devices work together: a strategy of Lightning."""
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    """auto: bf16 where the hardware has the instructions, else 32."""
    compile: bool = False
    """Compile the network; if that fails, there is a warning and training continues without it."""
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
    """All settings of a run."""

    approach: str = "video"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def read_config(path: Path) -> Config:
    """Read a run's settings. Raises `UserError` for an unknown key, a wrong type or a value out
    of range.
    """
    data = read_toml(path)
    drop_removed_settings(data, path)
    try:
        return TypeAdapter(Config).validate_python(data)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from None


def config_toml(config: Config) -> str:
    """The settings as TOML. None is left out, and is read back as None."""
    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def _plain(value: Any) -> Any:
    # TOML has no null, and on every system a run folder holds paths with forward slashes.
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return value.as_posix() if isinstance(value, Path) else value
