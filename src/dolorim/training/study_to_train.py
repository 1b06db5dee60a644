"""The study to train on, who is learned from, and on how many devices.

Nothing here needs Lightning, whose import takes longer than fitting a quick head.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dolorim.config import Config, TrainConfig
from dolorim.dataset.loading import StudyDataset, learns_points_alone, load_dataset
from dolorim.dataset.run_rate import with_rate
from dolorim.dataset.splits import Split, split_animals
from dolorim.inference.run_folder import RunFolder
from dolorim.training.network_plan import planned


def trains_on_several(settings: TrainConfig) -> bool:
    """Do several devices train together?"""
    return settings.devices != "1" or settings.num_nodes > 1


def load_to_train(config: Config) -> tuple[Config, StudyDataset]:
    """The study to train on, and the settings with what it chooses: the run's rate, for one.

    Raises `UserError` if nothing can be learned from.
    """
    warm_start = config.train.warm_start
    if warm_start is not None and config.data.run_rate_hz is None:
        # The weights to start from know movements at this rate.
        before_hz = RunFolder(warm_start).read_config().data.run_rate_hz
        data = dataclasses.replace(config.data, run_rate_hz=before_hz)
        config = dataclasses.replace(config, data=data)
    dataset = load_dataset(config)
    return planned(with_rate(config, dataset.rate_hz), dataset.labelled), dataset


def frames_by_animal(dataset: StudyDataset) -> dict[str, np.ndarray]:
    """Labeled frames of each class `(classes,)`, by animal."""
    n_classes = len(dataset.study.ethogram)
    by_animal: dict[str, np.ndarray] = {}
    for recording in dataset.recordings:
        counts = count_labels(recording.labels, n_classes)
        by_animal[recording.animal] = by_animal.get(recording.animal, 0) + counts
    return by_animal


def count_labels(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Frames of each class `(classes,)` among `labels` `(time,)`; unlabeled ones do not count."""
    return np.bincount(labels[labels >= 0], minlength=n_classes)


def split_dataset(config: Config, dataset: StudyDataset) -> Split:
    """The animals of each part: those named in the settings, the others drawn."""
    val = _names(config.train.val_animals)
    test = _names(config.train.test_animals)
    if learns_points_alone(config):
        val = val or []  # validation compares labels, and there are none
    return split_animals(frames_by_animal(dataset), val=val, test=test, seed=config.train.seed)


def _names(text: str | None) -> list[str] | None:
    """Animals out of `a,b`; an empty list for `none`, None where nothing was said."""
    if text is None:
        return None
    if text.strip().casefold() == "none":
        return []
    return [name.strip() for name in text.split(",") if name.strip()]
