"""All compositions of the one network: shapes, chunks that equal the whole, and what may be
missing."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import torch

from dolorim.config import AugmentConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.augmentation import augment
from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording, crop_points
from dolorim.dataset.windows import Windows, pose_statistics
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.streaming import Predictor, blocks_of
from dolorim.labels.trials import Recording
from dolorim.models.build import build_recognizer
from dolorim.models.paw_brightness import PawBrightness
from dolorim.models.pretrained import Pretrained
from dolorim.models.recognizer import Inputs, Recognizer, Streams
from dolorim.pose.features import REACH
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.training.module import inputs_of
from poses import film_of, wandering

SIZE, CLASSES, TIME = 32, 3, 75
SIX, RATS = Skeleton(KEYPOINTS), Skeleton(("nose", "body", "tail"), 2)
SMALL = ModelConfig(
    clip_length=8,
    width=16,
    hidden_dim=8,
    tcn_layers=3,
    pose_reach=4,
    encoder_name="test_vit.r160_in1k",
)


def settings(**changes: Any) -> ModelConfig:
    return dataclasses.replace(SMALL, **changes)


TCN = {"temporal": "tcn"}
MODELS = {
    "video": (settings(), SIX),
    "video, tcn": (settings(**TCN), SIX),
    "graph alone": (settings(visual="none", pose="graph"), SIX),
    "generic alone, two animals, tcn": (settings(visual="none", pose="generic", **TCN), RATS),
    "concat": (settings(pose="full"), SIX),
    "gated": (settings(pose="graph", fusion="gated", **TCN), SIX),
    "gated without tcn": (settings(pose="full", fusion="gated"), SIX),
    "two animals with video": (settings(pose="generic"), RATS),
    "causal": (settings(pose="graph", causal=True, **TCN), SIX),
    "multitask": (settings(pose="full", tasks="multitask", **TCN), SIX),
    "keypoints without pose": (settings(tasks="multitask"), SIX),
    "vit": (settings(visual="vit_2d", pose="graph", tasks="multitask", **TCN), SIX),
    "vit alone": (settings(visual="vit_2d"), SIX),
    "vit with pose": (settings(visual="vit_2d", pose="graph", **TCN), SIX),
}
each_model = pytest.mark.parametrize("name", MODELS)


class Case:
    """A network that looks trained, and a recording of its kind."""

    def __init__(self, name: str, frames: int = TIME, missing: float = 0.1) -> None:
        self.config, skeleton = MODELS[name]
        self.model = copy.deepcopy(_settled(name))
        self.input_spec = input_spec_of(self.model, self.config, skeleton)
        self.labelled = _labelled(self.input_spec, frames, missing)

    def inputs(self) -> Inputs:
        """What the network sees of all of it."""
        return _inputs(self.input_spec, self.labelled)

    def predictor(self, chunk: int = 64, read: int = 1024) -> Predictor:
        return Predictor(
            self.model, self.input_spec, torch.device("cpu"), "32", chunk, read, keypoints=True
        )


def _labelled(input_spec: InputSpec, frames: int, missing: float) -> LabelledRecording:
    track = wandering(frames, input_spec.skeleton.keypoints, input_spec.skeleton.animals, missing)
    film = film_of(track, SIZE, turned=True) if input_spec.visual is not None else None
    wanted = input_spec.pose is not None or input_spec.points
    return LabelledRecording(
        Recording("a", "1M", np.zeros(frames, np.int16)), film, track if wanted else None
    )


def _inputs(input_spec: InputSpec, labelled: LabelledRecording) -> Inputs:
    video, track, n = labelled.video, labelled.track, labelled.n_frames
    tensors: dict[str, torch.Tensor] = {}
    if video is not None:
        tensors["frames"] = torch.from_numpy(video.images)[None, None].float() / 255
        tensors["crop_centers"] = torch.from_numpy(video.centers)[None]
    if track is not None and input_spec.pose is not None:
        places = track.at(np.arange(-REACH, n + REACH), 0, n - 1)
        tensors["pose"] = torch.from_numpy(input_spec.features_of(track, *places))[None]
    if track is not None and input_spec.points and video is not None:
        points = crop_points(track.points[:, 0], video.centers, video.angles_rad, video.side_px)
        tensors["points"] = torch.from_numpy(points)[None]
    return Inputs(**tensors)


@functools.cache
def _settled(name: str) -> Recognizer:
    """The network with normalizations that have seen data, and with something to say where it
    starts with zeros."""
    config, skeleton = MODELS[name]
    torch.manual_seed(0)
    model = build_recognizer(config, CLASSES, skeleton, SIZE)
    input_spec = input_spec_of(model, config, skeleton)
    one, two = (_labelled(input_spec, TIME, missing) for missing in (0.1, 0.2))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(0.3 * torch.randn(parameter.shape))
        if model.pose is not None:
            model.pose.fit(*pose_statistics(Windows([one, two], 1, input_spec)))
        pairs = zip(
            dataclasses.astuple(_inputs(input_spec, one)),
            dataclasses.astuple(_inputs(input_spec, two)),
            strict=True,
        )
        both = Inputs(*(None if a is None else torch.cat([a, b]) for a, b in pairs))
        model.train()
        for _ in range(3):
            model(both)
    return model.eval()


@each_model
def test_every_network_gives_logits_and_keypoints_of_the_shapes_that_it_says(name: str) -> None:
    case = Case(name, frames=20)
    with torch.no_grad():
        output = case.model(case.inputs())
    assert output.actions.shape == (1, 20, CLASSES)
    if case.config.tasks == "multitask":
        assert output.keypoints.places.shape == (1, 20, 6, 2)
        assert output.keypoints.visibility.shape == (1, 20, 6)
        assert output.keypoints.places.abs().max() <= 1
    else:
        assert output.keypoints is None


@pytest.mark.parametrize(("frames", "chunk", "read"), [(TIME, 16, 20), (5, 16, 20), (1, 16, 1)])
@each_model
def test_decisions_in_chunks_are_those_on_the_whole_recording(
    name: str, frames: int, chunk: int, read: int
) -> None:
    case = Case(name, frames)
    with torch.no_grad():
        whole = case.model(case.inputs())
    decisions = case.predictor(chunk, read)(case.labelled)
    off = (
        5e-5 if isinstance(case.model.visual, Pretrained) else 2e-5
    )  # its features are rounded, as if stored
    np.testing.assert_allclose(decisions.probabilities, whole.actions[0].softmax(-1), atol=off)
    assert (decisions.keypoints is None) == (whole.keypoints is None)
    if whole.keypoints is not None:
        np.testing.assert_allclose(decisions.keypoints, whole.keypoints.places[0], atol=2e-4)


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("name", ["vit alone", "vit with pose"])
def test_decisions_on_stored_features_are_those_on_the_frames_to_the_last_bit(
    name: str, precision: str
) -> None:
    case = Case(name)
    predictor = Predictor(
        case.model, case.input_spec, torch.device("cpu"), precision, chunk=16, read=20
    )
    video, track = case.labelled.video, case.labelled.track
    stored = np.concatenate([*predictor.features(blocks_of(video, 30), track, video.side_px)])
    assert stored.dtype == np.float16
    decisions = predictor(dataclasses.replace(case.labelled, features=stored))
    assert np.array_equal(decisions.probabilities, predictor(case.labelled).probabilities)


BOTH = [
    name
    for name, (config, _) in MODELS.items()
    if config.visual != "none" and config.pose != "none"
]


@pytest.mark.parametrize("name", BOTH)
def test_a_network_of_two_streams_decides_by_either_one_alone(name: str) -> None:
    case = Case(name)
    both = case.predictor()(case.labelled).probabilities
    seen = case.predictor()(dataclasses.replace(case.labelled, track=None)).probabilities
    told = np.concatenate(
        [d.probabilities for d in case.predictor().stream(None, case.labelled.track)]
    )
    for alone in (seen, told):
        assert alone.shape == both.shape
        assert np.isfinite(alone).all()
        np.testing.assert_allclose(alone.sum(1), 1, atol=1e-5)
        assert np.abs(alone - both).max() > 1e-3
    with pytest.raises(ValueError, match="neither frames nor a pose"):
        list(case.predictor().stream(None, None))


@pytest.mark.parametrize("name", [n for n, (c, _) in MODELS.items() if c.pose != "none"])
@pytest.mark.parametrize("missing", [0.5, 1.0])
def test_what_is_missing_in_a_pose_never_gives_nan(name: str, missing: float) -> None:
    case = Case(name, frames=30)
    worse = wandering(30, case.labelled.track.names, case.labelled.track.skeleton.animals, missing)
    decisions = case.predictor()(dataclasses.replace(case.labelled, track=worse))
    assert np.isfinite(decisions.probabilities).all()
    assert decisions.keypoints is None or np.isfinite(decisions.keypoints).all()
    case.model.train()
    case.labelled = dataclasses.replace(case.labelled, track=worse)
    case.model(case.inputs()).actions.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in case.model.parameters())


@pytest.mark.parametrize("name", ["multitask", "vit"])
@torch.no_grad()
def test_keypoints_are_seen_and_not_copied_from_the_pose(name: str) -> None:
    case = Case(name, frames=20)
    inputs = case.inputs()
    other = dataclasses.replace(inputs, pose=inputs.pose + 1, points=-inputs.points)
    one, two = case.model(inputs), case.model(other)
    assert torch.equal(one.keypoints.places, two.keypoints.places)
    assert torch.equal(one.keypoints.visibility, two.keypoints.visibility)
    assert not torch.allclose(one.actions, two.actions, atol=1e-3)


@pytest.mark.parametrize("name", ["multitask", "keypoints without pose", "vit"])
@torch.no_grad()
def test_a_keypoint_lies_in_a_single_frame_where_it_lies_in_the_whole_video(name: str) -> None:
    case = Case(name, frames=40)
    inputs = case.inputs()
    whole, visual = case.model(inputs), case.model.visual
    wanted = [12, 25, 26]
    around = [inputs.frames[:, :, t - visual.map_before : t + visual.map_after + 1] for t in wanted]
    single = case.model.find_keypoints(torch.cat(around))
    for part, of_all in zip(single, whole.keypoints, strict=True):
        torch.testing.assert_close(part[:, 0], of_all[0, wanted], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_frames_of_padding_say_nothing_to_those_of_the_recording() -> None:
    case = Case("gated")
    inputs, valid = case.inputs(), torch.arange(TIME)[None] < 50
    streams = case.model.encode(inputs)
    wild = Streams(
        *(None if s is None else s.masked_fill(~valid[..., None], 50.0) for s in streams[:2])
    )
    torch.testing.assert_close(
        case.model.read(wild, valid).actions[:, :50],
        case.model.read(streams, valid).actions[:, :50],
    )


def test_every_part_of_a_network_learns() -> None:
    config = settings(
        pose="full",
        tasks="multitask",
        appearance_dropout=0.0,
        convolution_dropout=0.0,
        **TCN,
    )
    torch.manual_seed(0)
    model, case = build_recognizer(config, CLASSES, SIX, SIZE), Case("multitask", frames=12)
    output = model(case.inputs())
    (
        output.actions.square().sum() + sum(part.square().sum() for part in output.keypoints)
    ).backward()
    still = {
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    }
    assert {n.split(".")[0] for n in still} <= {
        "fusion"
    }  # of the fusion, what stands for a stream that is left out
    assert all("absent" in n for n in still)


@pytest.mark.parametrize(
    ("changes", "skeleton", "said"),
    [
        ({"visual": "none"}, SIX, "leave nothing to learn from"),
        ({"visual": "none", "pose": "full", "tasks": "multitask"}, SIX, "--tasks multitask"),
        ({"tasks": "multitask"}, NO_SKELETON, "--tasks multitask"),
    ],
)
def test_settings_that_make_no_network_are_refused(
    changes: dict[str, Any], skeleton: Skeleton, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        build_recognizer(settings(**changes), CLASSES, skeleton, SIZE)


@torch.no_grad()
def test_a_paw_is_as_bright_as_the_glass_that_it_presses_and_light_does_not_matter() -> None:
    frames, points = (
        torch.full((1, 2, 64, 64), 0.3),
        torch.tensor([[-0.5, 0.5], [0.5, -0.5], [torch.nan, 0.0]]),
    )
    frames[:, 1, 42:54, 10:22] = 0.6  # around (-0.5, 0.5), x first
    brightness = PawBrightness(3)(frames, points.expand(1, 2, 3, 2))[0]
    torch.testing.assert_close(brightness[0], torch.tensor([0.0, 0, 0, 1, 1, 0]), atol=1e-5, rtol=0)
    ratio = float(np.log((0.6 + 16 / 255) / (0.3 + 16 / 255)))
    torch.testing.assert_close(
        brightness[1], torch.tensor([ratio / 2, -ratio / 2, 0, 1, 1, 0]), atol=1e-4, rtol=0
    )


def test_the_paw_that_bears_weight_is_the_same_in_the_negative_of_a_picture() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60, (64, 2, 32, 32)).astype(np.uint8)
    frames[:, :, 8:16, 8:16], frames[:, :, 8:16, 20:28] = 220, 110  # pressed harder, pressed less
    points = torch.tensor([[-0.25, -0.25], [0.5, -0.25]]).expand(64, 2, 2, 2)
    batch = {
        "frames": torch.from_numpy(frames), "labels": torch.zeros(64, 2, dtype=torch.long),
        "crop_centers": torch.zeros(64, 2, 2), "mirrored": torch.zeros(64, dtype=torch.bool),
        "seed": torch.arange(64), "points": points,
    }  # fmt: skip
    changed = augment(batch, AugmentConfig(aug_shift=0.02, aug_rotate=0.02, aug_scale=0.05), [0])
    assert 0.3 < changed["negative"].float().mean() < 0.7
    cue = PawBrightness(2)(changed["frames"], changed["points"], changed["negative"])
    assert (cue[..., 0] >= cue[..., 1]).all()
    assert (cue[..., 0] > cue[..., 1]).float().mean() > 0.9  # but where the light burns both out
    inputs = inputs_of(changed)
    assert torch.equal(inputs.negative, changed["negative"])


@each_model
@torch.no_grad()
def test_keypoints_of_every_third_frame_are_those_of_all_frames_and_decisions_do_not_need_them(
    name: str,
) -> None:
    case = Case(name)
    whole, some, none = (case.model(case.inputs(), maps=maps) for maps in (1, 3, 0))
    for output in (some, none):
        torch.testing.assert_close(output.actions, whole.actions)
    assert none.keypoints is None
    if whole.keypoints is not None:
        for part, of_all in zip(some.keypoints, whole.keypoints, strict=True):
            torch.testing.assert_close(part, of_all[:, ::3], atol=1e-5, rtol=1e-4)
