"""Cross-validation by animal: each fold is a run of its own, and all animals are scored once, out of fold."""

from __future__ import annotations

import dataclasses
import shutil

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.splits import Split, fold_animals
from dolorim.evaluation.calibrate_conformal import calibrate
from dolorim.evaluation.evaluate import score_folds
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import say
from dolorim.training.model_card import write_model_card
from dolorim.training.train import frames_by_animal, train_on


def cross_validate(config: Config, run: RunFolder, folds: int | None) -> RunFolder:
    """Train as many folds as told (None: as many as animals, each left out once) and score all animals out of fold.

    A fold's checkpoint and decoder are chosen by validation animals among those that it may learn from; its test
    animals choose nothing. `RUN/folds/k` are ordinary run folders: an interrupted command goes on when it is given
    again. `--max_minutes` is for all folds together. Raises `UserError` where the animals of a part are named.
    """
    settings = config.train
    if (
        settings.val_animals or "none"
    ).strip().casefold() != "none" or settings.test_animals is not None:
        raise UserError(
            "folds divide the animals themselves; leave --test_animals out, and --val_animals too or none"
        )
    if settings.devices != "1" or settings.num_nodes > 1:
        raise UserError(
            "folds are trained on one device, one after the other; leave --devices and --num_nodes out"
        )
    dataset = load_dataset(config)
    counts = frames_by_animal(dataset)
    val = None if settings.val_animals is None else ()
    splits = fold_animals(
        counts, len(counts) if folds is None else folds, val=val, seed=settings.seed
    )
    run.start(config, dataset.project.ethogram, splits, dataset.skeleton)
    run.write_json("body_lengths.json", dataclasses.asdict(dataset.lengths))
    for k, split in enumerate(splits):
        fold = run.fold(k)
        say(f"fold {k} ({k + 1} of {len(splits)}): {', '.join(split.test)} left out")
        if fold.metrics.exists():
            say(f"trained before, in {fold.path}")
        else:
            train_on(_of_fold(config, split, len(splits)), fold, dataset, split)
        _keep(fold, run)
    metrics = {"folds": score_folds(run)}
    calibrate(run, "folds")
    write_model_card(run, dataset.recordings, metrics)
    run.write_json("metrics.json", metrics)  # last: it marks the run as finished
    return run


def _of_fold(config: Config, split: Split, folds: int) -> Config:
    """Settings that repeat one fold as a run by itself."""
    train = dataclasses.replace(
        config.train, test_animals=",".join(split.test), val_animals=",".join(split.val) or "none",
        max_minutes=None if config.train.max_minutes is None else config.train.max_minutes / folds,
    )  # fmt: skip
    return dataclasses.replace(config, train=train)


def _keep(fold: RunFolder, run: RunFolder) -> None:
    """Put a fold's predictions of its test animals to those of the others."""
    folder = run.predictions("folds")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(fold.predictions("test").iterdir()):
        shutil.copyfile(path, folder / path.name)
