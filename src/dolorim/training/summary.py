"""The block that a training log starts with: who is learned from, what, with which network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dolorim.config import Config
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import StudyDataset
from dolorim.dataset.splits import Split
from dolorim.labels.bouts import to_bouts
from dolorim.models.pretrained import Pretrained
from dolorim.models.recognizer import Recognizer
from dolorim.terminal import say, warn
from dolorim.training.study_to_train import count_labels

if TYPE_CHECKING:  # quick heads need a line of this, and no Lightning
    import lightning.pytorch as pl

    from dolorim.training.loaders import Loaders
    from dolorim.training.module import Learner

PARTS = ("train", "val", "test")


def say_summary(
    dataset: StudyDataset, split: Split, learner: Learner, loaders: Loaders, trainer: pl.Trainer
) -> None:
    """Say in one block what training starts with, and warn of what the split lacks."""
    recordings = {part: dataset.part(getattr(split, part)) for part in PARTS}
    lines = split_lines(dataset, split)
    if note := dataset.study.ethogram.merging_note():
        lines.append(note)
    lines += _class_table(recordings, learner)
    lines.append(_model_line(learner.config, learner, recordings["train"]))
    lines.append(_loop_line(learner.config, loaders, trainer))
    say("\n".join(lines))
    if not split.val:
        say("no validation animals: training runs all epochs, and the last weights are kept")
    if not split.test:
        warn("no test animals: the run will have no honest measure of its accuracy")


def split_lines(dataset: StudyDataset, split: Split) -> list[str]:
    """A line on each part: its animals, videos and labeled frames."""
    return [
        _split_line(part, getattr(split, part), dataset.part(getattr(split, part)))
        for part in PARTS
    ]


def _split_line(part: str, animals: Sequence[str], recordings: Sequence[LabelledRecording]) -> str:
    n_frames = sum(int((f.recording.labels >= 0).sum()) for f in recordings)
    names = ", ".join(animals) or "none"
    videos = "1 video" if len(recordings) == 1 else f"{len(recordings)} videos"
    return f"{part}: {names} ({videos}, {n_frames} labeled frames)"


def _class_table(recordings: dict[str, list[LabelledRecording]], learner: Learner) -> list[str]:
    """Labeled frames per class and part, and how training corrects for rare classes.

    `drawn %` is the share of a class among the frames that training draws, `weight` its weight in
    the loss.
    """
    classes = learner.ethogram.classes
    frames = {part: _counts(recordings[part], len(classes)) for part in PARTS}
    if not any(counts.any() for counts in frames.values()):
        return []
    table = pd.DataFrame(frames, index=list(classes)).add_suffix(" frames")
    table["drawn %"] = [f"{100 * share:.1f}" for share in learner.shares]
    table["weight"] = [f"{weight:.2f}" for weight in learner.loss.weights.tolist()]
    return table.to_string().splitlines()


def _counts(recordings: Sequence[LabelledRecording], n_classes: int) -> np.ndarray:
    counts = np.zeros(n_classes, np.int64)
    for labelled in recordings:
        counts += count_labels(labelled.recording.labels, n_classes)
    return counts


def _model_line(config: Config, learner: Learner, recordings: Sequence[LabelledRecording]) -> str:
    streams = [name for name in (config.model.visual, config.model.pose) if name != "none"]
    bouts = itertools.chain.from_iterable(to_bouts(f.recording.labels) for f in recordings)
    longest = max((len(bout) for bout in bouts), default=0)
    compared = f" (the longest labeled bout has {longest})" if longest else ""
    return (
        f"model: {config.approach} ({' + '.join(streams)}), {_parameters(learner.model, config)}; "
        f"a decision sees {_frames_seen(learner)} frames{compared}"
    )


def _parameters(model: Recognizer, config: Config) -> str:
    """How many parameters decide; the unused convolutions of `motion_features` do not count."""
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    frozen = isinstance(model.visual, Pretrained) and config.model.freeze_backbone_epochs != 0
    if not frozen:
        return f"{learned:.2f} million parameters"
    assert model.visual is not None
    pretrained = sum(p.numel() for p in model.visual.parameters()) / 1e6
    how_long = "" if config.model.freeze_backbone_epochs < 0 else " at first"
    return f"{learned:.2f} million parameters ({pretrained:.2f} of them frozen{how_long})"


def _frames_seen(learner: Learner) -> int:
    """Frames that a decision depends on: context of the streams and of the layers after them."""
    halos = [h for h in (learner.input_spec.visual, learner.input_spec.pose) if h is not None]
    before = max(halo.before for halo in halos) + learner.model.before
    after = max(halo.after for halo in halos) + learner.model.after
    return before + 1 + after


def _loop_line(config: Config, loaders: Loaders, trainer: pl.Trainer) -> str:
    processes = trainer.num_devices * trainer.num_nodes
    times = f" x {processes}" if processes > 1 else ""
    settings = config.train
    limit = f" or {settings.max_minutes:g} minutes" if settings.max_minutes else ""
    return (
        f"training: {len(loaders.windows)} steps per epoch, "
        f"at most {settings.epochs} epochs{limit}, "
        f"on {trainer.strategy.root_device}{times}, precision {trainer.precision}"
    )
