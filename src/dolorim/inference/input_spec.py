"""What a network needs to see, read off the network."""

from __future__ import annotations

from dolorim.config import ModelConfig
from dolorim.dataset.labelled_recording import Halo, InputSpec
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose import Skeleton


def input_spec_of(model: Recognizer, config: ModelConfig, skeleton: Skeleton) -> InputSpec:
    visual, pose = (
        None if stream is None else Halo(stream.before, stream.after)
        for stream in (model.visual, model.pose)
    )
    sees_points = visual is not None and bool(skeleton.keypoints) and skeleton.animals == 1
    return InputSpec(
        visual,
        pose,
        "graph" if config.pose == "none" else config.pose,
        skeleton,
        points=sees_points and (model.pose is not None or model.keypoints is not None),
        step=config.tcn_step,
    )
