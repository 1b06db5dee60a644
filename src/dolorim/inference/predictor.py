"""What decides in a run, ready to predict."""

from __future__ import annotations

from collections.abc import Sequence

from dolorim.config import Config
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.inference.backbone_features import needs_only_features, with_features
from dolorim.inference.ensemble import Decider, Ensemble, Member
from dolorim.inference.frame_features import FrameStore
from dolorim.inference.hardware import pick_device
from dolorim.inference.head import NETWORK
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.models.quick import QuickRecognizer
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose import Skeleton


def predictor_of(run: RunFolder, keypoints: bool = False, features: bool = False) -> Decider:
    """What decides in the run, ready to predict on the device that its settings name.

    With `keypoints` those that the run's network finds come along, where it finds any; with
    `features`, those that its quick heads see, where these decide alone.
    """
    config, head = run.read_config(), run.read_head()
    share = head.shares.get(NETWORK, 0.0)
    if share == 1:
        return predictor_with(run, run.load_model(), keypoints)
    members = []
    finds_points = keypoints and config.model.tasks == "multitask"
    if share > 0 or (finds_points and NETWORK in head.shares):
        network = predictor_with(run, run.load_model(), keypoints)

        def stored(recording: LabelledRecording) -> LabelledRecording:
            return with_stored_features(network, [recording], config)[0]

        members.append(Member(network, share, stored))
    if share < 1:
        quick = predictor_with(run, run.load_quick())
        quick.keeps_features = features and not members
        store = FrameStore(quick, config)
        members.append(Member(quick, 1 - share, store.in_place_of_pictures))
    return Ensemble(members)


def predictor_with(
    run: RunFolder, model: Recognizer | QuickRecognizer, keypoints: bool = False
) -> Predictor:
    """A model of the run's settings, ready to predict on the device that these name."""
    return predictor_for(run.read_config(), run.read_skeleton(), model, keypoints)


def predictor_for(
    config: Config,
    skeleton: Skeleton,
    model: Recognizer | QuickRecognizer,
    keypoints: bool = False,
) -> Predictor:
    """As `predictor_with`, for settings without a run."""
    return Predictor(
        model,
        input_spec_of(model, config.model, skeleton),
        pick_device(config.train.accelerator),
        config.train.precision,
        compiled=config.train.compile,
        keypoints=keypoints,
    )


def store_of(decider: Decider, config: Config) -> FrameStore | None:
    """The stored features that quick heads decide by; None where they do not decide alone."""
    if not isinstance(decider, Ensemble) or len(decider.members) > 1:
        return None
    predictor = decider.members[0].predictor
    if not isinstance(predictor.model, QuickRecognizer) or predictor.model.visual is None:
        return None
    return FrameStore(predictor, config)


def with_stored_features(
    predictor: Decider, recordings: Sequence[LabelledRecording], config: Config
) -> Sequence[LabelledRecording]:
    """The recordings with what a network with a frozen encoder reads in place of pictures."""
    if isinstance(predictor, Ensemble) or not needs_only_features(config.model):
        return recordings  # an ensemble's members each have their own
    assert isinstance(predictor.model, Recognizer)
    return with_features(recordings, predictor.model, predictor.input_spec, config)
