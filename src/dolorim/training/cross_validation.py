"""Cross-validation by animal: each fold is a run of its own, and each animal is scored once."""

from __future__ import annotations

import dataclasses
import shutil

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split, fold_animals
from dolorim.evaluation.calibrate_conformal import calibrate
from dolorim.evaluation.evaluate import score_folds
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import say
from dolorim.training.model_card import write_model_card
from dolorim.training.study_to_train import frames_by_animal, load_to_train, trains_on_several
from dolorim.training.train import train_on


def cross_validate(config: Config, run: RunFolder, folds: int | None) -> RunFolder:
    """Train a number of folds, and score every animal with a network that has not seen it.

    With `folds` None there are as many as animals, each left out once. Validation animals, drawn
    from those that a fold may learn from, choose its checkpoint and decoder; its test animals
    choose nothing. `RUN/folds/k` are ordinary run folders, and the same command continues an
    interrupted run. `--max_minutes` is for all folds together. Raises `UserError` where the
    settings name the animals of a part, or several devices.
    """
    settings = config.train
    names_val = (settings.val_animals or "none").strip().casefold() != "none"
    if names_val or settings.test_animals is not None:
        raise UserError(
            "folds divide the animals themselves; leave --test_animals out, and --val_animals too "
            "(or use --val_animals none)"
        )
    if trains_on_several(settings):
        raise UserError(
            "folds are trained on one device, one after the other; leave out --devices and "
            "--num_nodes"
        )
    config, dataset = load_to_train(config)
    counts = frames_by_animal(dataset)
    val = None if settings.val_animals is None else ()
    n_folds = len(counts) if folds is None else folds
    splits = fold_animals(counts, n_folds, val=val, seed=settings.seed)
    run.start(config, dataset.study.ethogram, splits, dataset.skeleton)
    run.write_json("body_lengths.json", dataclasses.asdict(dataset.lengths))
    for k, split in enumerate(splits):
        fold = run.fold(k)
        say(f"fold {k} ({k + 1} of {len(splits)}): {', '.join(split.test)} left out")
        if fold.metrics.exists():
            say(f"already trained, in {fold.path}")
        else:
            train_on(_fold_config(config, split, len(splits)), fold, dataset, split)
        _copy_predictions(fold, run)
    metrics = {"folds": score_folds(run)}
    calibrate(run, "folds")
    write_model_card(run, dataset.recordings, metrics)
    run.write_json("metrics.json", metrics)  # last: it marks the run as finished
    return run


def _fold_config(config: Config, split: Split, folds: int) -> Config:
    """Settings that repeat one fold as a run by itself."""
    minutes = config.train.max_minutes
    train = dataclasses.replace(
        config.train,
        test_animals=",".join(split.test),
        val_animals=",".join(split.val) or "none",
        max_minutes=None if minutes is None else minutes / folds,
    )
    return dataclasses.replace(config, train=train)


def _copy_predictions(fold: RunFolder, run: RunFolder) -> None:
    """Collect the predictions of all folds for their test animals in one folder of the run."""
    folder = run.predictions("folds")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(fold.predictions("test").iterdir()):
        shutil.copyfile(path, folder / path.name)
