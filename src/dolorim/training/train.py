"""Train a run: data, split, network, Lightning's loop, and an honest evaluation at the end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.loading import StudyDataset, learns_points_alone
from dolorim.dataset.splits import Split
from dolorim.evaluation.calibrate_conformal import calibrate
from dolorim.evaluation.evaluate import evaluate_held_out
from dolorim.inference.encoder_folder import keep_card
from dolorim.inference.hardware import is_first_process
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.unlike import note_appearances
from dolorim.terminal import console, warn
from dolorim.training.model_card import write_model_card
from dolorim.training.study_to_train import load_to_train, split_dataset, trains_on_several
from dolorim.training.train_quick import train_quick_head


def train(config: Config, run: RunFolder) -> RunFolder:
    """Train a recognizer, evaluate it on held-out animals, and leave it in the run folder.

    An unfinished run with the same settings continues where it stopped. Raises `UserError`.
    """
    if trains_on_several(config.train) and not is_first_process():
        console.quiet = True
    config, dataset = load_to_train(config)
    return train_on(config, run, dataset, split_dataset(config, dataset))


def train_on(config: Config, run: RunFolder, dataset: StudyDataset, split: Split) -> RunFolder:
    """Train on a dataset that has been loaded, with a split that has been made."""
    _refuse_contradictions(config, split)
    writes = is_first_process() or not trains_on_several(config.train)
    resume = run.start(config, dataset.study.ethogram, split, dataset.skeleton, write=writes)
    encoder = Path(config.model.encoder) if config.model.encoder else None
    keep_card(run.path, encoder, config.train.warm_start)
    run.write_json("body_lengths.json", dataclasses.asdict(dataset.lengths))
    note_appearances(run, dataset.part(split.train))
    if config.model.head in ("linear", "trees"):
        train_quick_head(config, run, dataset, split)
    else:
        # Lightning takes seconds to import, and quick heads do without it.
        from dolorim.training.train_network import train_network

        train_network(config, run, dataset, split, resume)
    _evaluate(run, dataset, split)
    return run


def _refuse_contradictions(config: Config, split: Split) -> None:
    if config.model.head != "network" and config.train.focal_gamma:
        raise UserError(
            f"--head {config.model.head} and --focal_gamma: quick heads have no focal loss; "
            "leave it out, or use --head network"
        )
    if config.model.head in ("linear", "trees") and config.model.tasks == "multitask":
        raise UserError(
            f"--head {config.model.head} learns no keypoints; add --tasks action_only, "
            "or use --head auto"
        )
    if config.train.lr_schedule == "plateau" and not split.val:
        raise UserError(
            "--lr_schedule plateau needs validation animals; name some with --val_animals, "
            "or use cosine"
        )
    if config.train.stop_at_f1 and not split.val:
        raise UserError(
            "--stop_at_f1 needs validation animals; name some with --val_animals, or leave it out"
        )
    if learns_points_alone(config) and split.val:
        raise UserError(
            "validation animals choose the best epoch by their labels, and there are none; "
            "use --val_animals none"
        )


def _evaluate(run: RunFolder, dataset: StudyDataset, split: Split) -> None:
    """Score the held-out animals, and write what depends on the scores."""
    metrics = evaluate_held_out(run, dataset)
    for part, scores in metrics.items():
        if seen := scores.get("seen_unlabelled"):
            warn(f"{part}: the encoder has seen videos of {', '.join(seen)}, without labels")
    if split.val and not metrics["val"].get("seen_in_training"):
        calibrate(run, "val")
    write_model_card(run, dataset.recordings, metrics)
    run.write_json("metrics.json", metrics)  # last: it marks the run as finished
