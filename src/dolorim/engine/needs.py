"""What a network needs to see, read off the network."""

from __future__ import annotations

from dolorim.config import ModelConfig
from dolorim.core.pose import Skeleton
from dolorim.data.footage import Halo, Needs
from dolorim.models.recognizer import Recognizer


def needs_of(model: Recognizer, config: ModelConfig, skeleton: Skeleton) -> Needs:
    visual, pose = (
        None if stream is None else Halo(stream.before, stream.after) for stream in (model.visual, model.pose)
    )
    sees_points = visual is not None and bool(skeleton.keypoints) and skeleton.animals == 1
    return Needs(
        visual,
        pose,
        "graph" if config.pose == "none" else config.pose,
        skeleton,
        points=sees_points and (model.pose is not None or model.keypoints is not None),
        step=config.tcn_step,
    )
