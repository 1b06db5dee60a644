"""What do probabilities mean after training on bouts that were drawn equally often and weighted?

    python -m benchmarks.prior [--seeds 3] [--work DIR]        # writes results/prior.json

A simulated study is learned from poses alone, once per seed (and split). Test animals are then
scored twice with the same network: with the prior corrected, as `predict` does, and without, as
version 0.1.0 did. The decoder is fitted to the same validation animals both times. Simulated: the
figures say what the correction does, not how accurate a run is.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine, trained
from dolorim.core.clock import rate_of
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.dataset.loading import StudyDataset, load_dataset
from dolorim.evaluation.evaluate import score
from dolorim.inference.decoder import Decoder
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.simulate.study import StudyPlan, simulate_study
from dolorim.training.fit_decoder import fit_decoder

PLAN = StudyPlan(animals=12, trials=4, trial_length=360, size_px=96, vigor=0.35)
RECIPE = (
    "multimodal --visual none --epochs 30 --accelerator cpu --val_animals 201M,202F,203M "
    "--test_animals"
)


def figures(
    labelled: Sequence[LabelledRecording],
    raw: Sequence[np.ndarray],
    run: RunFolder,
    decoder: Decoder,
) -> dict[str, Any]:
    ethogram = run.read_ethogram()
    scores = score(labelled, raw, ethogram, decoder)
    return {
        "decoder": decoder.to_dict(),
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "f1_50": scores["segments"]["f1_50"],
        "nll": scores["calibration"]["nll"],
        "ece": scores["calibration"]["ece"],
        "expected_over_true": {
            c: scores["per_class"][c]["expected_over_true"] for c in ethogram.classes
        },
    }


def both_ways(run: RunFolder) -> dict[str, Any]:
    """Figures on the test animals with and without the correction."""
    dataset, split, predictor = (
        load_dataset(run.read_config()),
        run.read_split(),
        predictor_of(run),
    )
    val, test = dataset.part(split.val), dataset.part(split.test)
    known, new = ([predictor(f).probabilities for f in part] for part in (val, test))
    written = run.read_decoder()
    base = Decoder(prior=written.prior, focal_gamma=written.focal_gamma)
    rows = {}
    for name, start in (("uncorrected", Decoder()), ("corrected", base)):
        decoder = fitted(val, known, dataset, start)
        rows[name] = figures(test, new, run, decoder)
        rows[f"{name}, argmax"] = figures(
            test, new, run, dataclasses.replace(start, temperature=decoder.temperature)
        )
    return rows


def fitted(
    val: Sequence[LabelledRecording],
    raw: Sequence[np.ndarray],
    dataset: StudyDataset,
    base: Decoder,
) -> Decoder:
    recordings = [f.recording for f in val]
    return fit_decoder(
        raw, [r.labels for r in recordings], [rate_of(f.time_s) for f in val],
        dataset.study.ethogram.classes,
        animals=[r.animal for r in recordings],
        borders=[[(t.start, t.stop) for t in r.trials] for r in recordings],
        base=base,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/prior"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    study = given.work / "study"
    if not (study / "recordings.csv").exists():
        simulate_study(study, PLAN)
    rows = []
    for seed in range(given.seeds):
        test = "204F,205M,206F" if seed % 2 == 0 else "207M,208F,209M"
        command = [
            *RECIPE.split(),
            test,
            "--annotations",
            str(study / "Annotations"),
            "--dlc",
            str(study / "DLC"),
        ]
        command += ["--recordings", str(study / "recordings.csv"), "--seed", str(seed)]
        rows.append(
            {"seed": seed, "test": test, **both_ways(trained(given.work / f"seed{seed}", command))}
        )
        print(json.dumps(rows[-1], indent=1), flush=True)
    results = {**machine(), "recipe": RECIPE, "runs": rows}
    (RESULTS / "prior.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
