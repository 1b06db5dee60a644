"""What a network needs to see, read off the network."""

from __future__ import annotations

from dolorim.config import ModelConfig
from dolorim.dataset.labelled_recording import Halo, InputSpec
from dolorim.models.quick import QuickRecognizer
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose import Skeleton


def input_spec_of(
    model: Recognizer | QuickRecognizer, config: ModelConfig, skeleton: Skeleton
) -> InputSpec:
    """The frames of context, pose features, and points that a network has to be given."""
    sees_points = model.visual is not None and bool(skeleton.keypoints) and skeleton.animals == 1
    return InputSpec(
        None if model.visual is None else Halo(model.visual.before, model.visual.after),
        None if model.pose is None else Halo(model.pose.before, model.pose.after),
        "graph" if config.pose == "none" else config.pose,
        skeleton,
        points=sees_points and (model.pose is not None or model.keypoints is not None),
        step=config.tcn_step,
    )
