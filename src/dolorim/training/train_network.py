"""Train the network of a run, and with `--head auto` choose between it and quick heads."""

from __future__ import annotations

import copy
import dataclasses

from dolorim.config import Config
from dolorim.core.errors import FinishedElsewhere
from dolorim.dataset.loading import StudyDataset, learns_points_alone
from dolorim.dataset.splits import Split
from dolorim.inference.backbone_features import needs_only_features
from dolorim.inference.run_folder import RunFolder, load_strictly
from dolorim.models.recognizer import Recognizer
from dolorim.training.callbacks import record_of
from dolorim.training.choose_head import choose_head
from dolorim.training.fit import fit, make_trainer, read_checkpoint
from dolorim.training.prepare import prepare
from dolorim.training.summary import say_summary
from dolorim.training.train_quick import decide_on_labels


def train_network(
    config: Config, run: RunFolder, dataset: StudyDataset, split: Split, resume: bool
) -> None:
    """Train the network, and with `--head auto` choose between it and quick heads."""
    learner, loaders = prepare(config, dataset, split)
    model = learner.model
    frozen = model.visual if needs_only_features(config.model) else None
    frozen_weights = {} if frozen is None else copy.deepcopy(frozen.state_dict())
    trainer = make_trainer(config, run, loaders)
    say_summary(dataset, split, learner, loaders, trainer)
    fit(trainer, config, run, learner, loaders, resume)
    if learner.global_rank:  # with several devices, the first process does the rest
        raise FinishedElsewhere
    run.write_json("training.json", dataclasses.asdict(record_of(learner)))
    if split.val:
        _load_best(model, run)
    if frozen is not None:  # to the bit, because stored features are those of these weights
        frozen.load_state_dict(frozen_weights)
    if config.model.head == "auto" and not learns_points_alone(config):
        choose_head(config, run, learner, dataset.part(split.train))
    else:
        run.save_model(model)
    decide_on_labels(config, run, learner.val, learner.decoder)


def _load_best(model: Recognizer, run: RunFolder) -> None:
    """Load the weights of the epoch with the best validation score, where one was saved."""
    best = run.path / "checkpoints" / "best.ckpt"
    if best.exists():
        state = read_checkpoint(best)["state_dict"]
        load_strictly(model, {k.removeprefix("model."): v for k, v in state.items()}, best)
