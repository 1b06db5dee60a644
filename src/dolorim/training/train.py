"""Train a run: data, split, network, Lightning's loop, and an honest evaluation at the end."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

from dolorim.config import Config
from dolorim.core.clock import rate_of
from dolorim.core.errors import FinishedElsewhere, UserError
from dolorim.dataset.loading import StudyDataset, learns_points_alone
from dolorim.dataset.splits import Split
from dolorim.evaluation.calibrate_conformal import calibrate
from dolorim.evaluation.evaluate import evaluate_held_out
from dolorim.inference.backbone_features import needs_only_features
from dolorim.inference.decoder import Decoder
from dolorim.inference.encoder_folder import keep_card
from dolorim.inference.hardware import is_first_process
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder, load_strictly
from dolorim.labels.trials import Recording
from dolorim.models.recognizer import Recognizer
from dolorim.terminal import console, detail, warn
from dolorim.training.callbacks import record_of
from dolorim.training.fit import fit, make_trainer, read_checkpoint, trains_on_several
from dolorim.training.fit_decoder import fit_decoder
from dolorim.training.model_card import write_model_card
from dolorim.training.module import Learner
from dolorim.training.prepare import load_to_train, prepare, split_dataset
from dolorim.training.summary import say_summary


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
    learner, loaders = prepare(config, dataset, split)
    model = learner.model
    frozen = model.visual if needs_only_features(config.model) else None
    frozen_weights = {} if frozen is None else copy.deepcopy(frozen.state_dict())
    trainer = make_trainer(config, run, loaders)
    say_summary(dataset, split, learner, loaders, trainer)
    fit(trainer, config, run, learner, loaders, resume)
    if learner.global_rank:  # with several devices, the first process does the rest
        raise FinishedElsewhere
    run.write_json("training.json", record_of(learner))
    if split.val:
        _load_best(model, run)
    if frozen is not None:  # to the bit, because stored features are those of these weights
        frozen.load_state_dict(frozen_weights)
    run.save_model(model)
    run.write_json("decoder.json", _fitted_decoder(config, run, learner).to_dict())
    _evaluate(run, dataset, split)
    return run


def _refuse_contradictions(config: Config, split: Split) -> None:
    if config.train.lr_schedule == "plateau" and not split.val:
        raise UserError(
            "--lr_schedule plateau needs validation animals; name some with --val_animals, "
            "or use cosine"
        )
    if learns_points_alone(config) and split.val:
        raise UserError(
            "validation animals choose the best epoch by their labels, and there are none; "
            "use --val_animals none"
        )


def _load_best(model: Recognizer, run: RunFolder) -> None:
    """Load the weights of the epoch with the best validation score, where one was saved."""
    best = run.path / "checkpoints" / "best.ckpt"
    if best.exists():
        state = read_checkpoint(best)["state_dict"]
        load_strictly(model, {k.removeprefix("model."): v for k, v in state.items()}, best)


def _fitted_decoder(config: Config, run: RunFolder, learner: Learner) -> Decoder:
    """How probabilities become labels, fitted to the validation animals where there are any."""
    if config.train.decoder == "argmax" or not learner.val:
        return learner.decoder
    predictor = predictor_of(run, learner.model)
    recordings = [f.recording for f in learner.val]
    decoder = fit_decoder(
        [predictor(f).probabilities for f in learner.val],
        [r.labels for r in recordings],
        [rate_of(f.time_s) for f in learner.val],
        learner.ethogram.classes,
        animals=[r.animal for r in recordings],
        borders=[_borders(r) for r in recordings],
        base=learner.decoder,
    )
    detail(f"decoder, fitted to the validation animals: {json.dumps(decoder.to_dict())}")
    return decoder


def _borders(recording: Recording) -> list[tuple[int, int]]:
    return [(trial.start, trial.stop) for trial in recording.trials]


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
