"""Train a run whose head is quick: no network, a decoder as for any other run."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence

import numpy as np

from dolorim.config import Config
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import StudyDataset
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.frame_features import FrameStore
from dolorim.inference.head import Head
from dolorim.inference.predictor import predictor_of, predictor_with
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.trials import Recording
from dolorim.terminal import detail, say, warn
from dolorim.training.drawn_shares import prior_decoder, sampler_for
from dolorim.training.fit_decoder import fit_decoder
from dolorim.training.fit_quick_heads import STRENGTHS, Kind
from dolorim.training.honest_scores import LeftOutScores, score_left_out, write_scores
from dolorim.training.losses import learned_shares
from dolorim.training.quick import empty_recognizer, new_quick, prepare_quick
from dolorim.training.study_to_train import count_labels
from dolorim.training.summary import split_lines


def train_quick_head(config: Config, run: RunFolder, dataset: StudyDataset, split: Split) -> None:
    """Fit the quick head that the settings name, and a decoder for it.

    Raises `UserError` where the training animals show fewer than two behaviors.
    """
    started = time.perf_counter()
    kind: Kind = "linear" if config.model.head == "linear" else "trees"
    recordings, val = dataset.part(split.train), dataset.part(split.val)
    say("\n".join(split_lines(dataset, split)))
    shares, base = learned_and_base(config, dataset, recordings)
    empty = empty_recognizer(config, dataset.skeleton, recordings)
    store = FrameStore(predictor_with(run, empty), config)
    teacher = prepare_quick(config, store, recordings, shares, base.prior)
    if not teacher.can_learn:
        raise UserError(
            "the training animals show fewer than two behaviors, so there is nothing to tell "
            "apart; label more of them, or choose others with --val_animals and --test_animals"
        )
    strength, left_out = STRENGTHS[1], None
    if kind == "linear":
        left_out = score_left_out(teacher, store.model, run.read_ethogram())
        strength = strength if left_out is None else left_out.strength
        say(write_scores(run, left_out))
    elif not split.test:
        warn("no test animals: the run will have no honest measure of its accuracy")
    head = teacher.fit(kind, range(len(recordings)), strength)
    windows = store.model.windows.tolist()
    quick = new_quick(config, dataset.skeleton, windows, {kind: head}, [1.0])
    run.save_model(quick=quick)
    run.write_json("head.json", Head({kind: 1.0}, f"--head {kind}").to_dict())
    say(
        f"head: {kind}, on {quick.width} features of frames and their means over "
        f"{' and '.join(map(str, windows))} frames, fitted to {len(teacher.rows.labels)} frames "
        f"in {time.perf_counter() - started:.1f} s"
    )
    if val or left_out is None:
        decide_on_labels(config, run, val, base)
    else:
        decoder = _decoder_of_left_out(config, run, left_out, base)
        run.write_json("decoder.json", decoder.to_dict())


def _decoder_of_left_out(
    config: Config, run: RunFolder, left_out: LeftOutScores, base: Decoder
) -> Decoder:
    """A decoder fitted to what was told of animals left out, where none are kept for validation."""
    if config.train.decoder == "argmax":
        return base
    decoder = fit_decoder(
        [np.exp(scores) for scores in left_out.scores],
        [stretch.labels for stretch in left_out.stretches],
        [stretch.rate_hz for stretch in left_out.stretches],
        run.read_ethogram().classes,
        animals=[stretch.animal for stretch in left_out.stretches],
        base=base,
    )
    detail(f"decoder, fitted to animals left out: {json.dumps(decoder.to_dict())}")
    return decoder


def learned_and_base(
    config: Config, dataset: StudyDataset, recordings: Sequence[LabelledRecording]
) -> tuple[np.ndarray, Decoder]:
    """Shares of classes among what is learned from, as for the network, and their correction."""
    ethogram = dataset.study.ethogram
    augment = dataclasses.replace(config.augment, aug_flip=0.0)  # nothing is mirrored here
    config = dataclasses.replace(config, augment=augment)
    labels = np.concatenate([r.recording.labels for r in recordings])
    counts = count_labels(labels, len(ethogram))
    _, drawn = sampler_for(config, recordings, ethogram, counts)
    decoder = prior_decoder(config.train, ethogram, counts, drawn)
    return learned_shares(config.train, drawn), decoder


def decide_on_labels(
    config: Config, run: RunFolder, val: Sequence[LabelledRecording], base: Decoder
) -> None:
    """Write how probabilities become labels, fitted to validation animals where there are any."""
    decoder = base
    if config.train.decoder != "argmax" and val:
        predictor = predictor_of(run)
        recordings = [r.recording for r in val]
        decoder = fit_decoder(
            [predictor(r).probabilities for r in val],
            [r.labels for r in recordings],
            [rate_of(r.time_s) for r in val],
            run.read_ethogram().classes,
            animals=[r.animal for r in recordings],
            borders=[_borders(r) for r in recordings],
            base=base,
        )
        detail(f"decoder, fitted to the validation animals: {json.dumps(decoder.to_dict())}")
    run.write_json("decoder.json", decoder.to_dict())


def _borders(recording: Recording) -> list[tuple[int, int]]:
    return [(trial.start, trial.stop) for trial in recording.trials]
