"""What it costs to train a second head on the stored features of a frozen network, against the
first run.

python -m benchmarks.feature_cache [--animals 6] [--trials 3] [--epochs 10] [--encoder NAME]
[--accelerator auto]

`train` with `--visual vit_2d --temporal tcn` twice on a simulated study, in one process that has
loaded its libraries. The weights are random, because downloading others may be impossible: this
does not affect the time, and the scores mean nothing. Frames are decoded beforehand and count for
neither run; validation, fitting the decoder, and scoring the test animals count. The second run
has a larger head. A test (`tests/test_features.py`) checks that decisions on stored features are
bit for bit those on the pictures; here this is checked again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine
from dolorim.config import Config, DataConfig, ModelConfig, TrainConfig
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.study import in_study_folder
from dolorim.inference.backbone_features import with_features
from dolorim.inference.input_spec import input_spec_of
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import be_quiet
from dolorim.training.train import train

LOOK = ModelConfig(visual="vit_2d", encoder_weights="random", temporal="tcn")
TRAIN = TrainConfig(train_T=180, batch_size=4, lr=1e-3)
HEADS: dict[str, dict[str, Any]] = {"first": {}, "second": {"hidden_dim": 96, "tcn_layers": 7}}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--animals", type=int, default=6)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image_size", type=int, default=112)
    parser.add_argument("--encoder", default="vit_small_patch14_dinov2.lvd142m")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--work", type=Path, default=None, help="folder that is kept")
    given = parser.parse_args([] if arguments is None else arguments)
    work = given.work or Path(tempfile.mkdtemp(prefix="features-"))
    be_quiet(True)
    study = work / "study"
    if not (study / "recordings.csv").exists():
        code = "from dolorim.simulate.study import *; from pathlib import Path; import sys; "
        plan = f"StudyPlan(animals={given.animals}, trials={given.trials}, size_px=320)"
        code += f"simulate_study(Path(sys.argv[1]), {plan})"
        subprocess.run([sys.executable, "-c", code, str(study)], check=True)
    data = in_study_folder(study, DataConfig())
    data = replace(data, cache=work / "cache", image_size=given.image_size)
    base = Config(data=data, model=replace(LOOK, encoder_name=given.encoder))
    base = replace(base, train=replace(TRAIN, epochs=given.epochs, accelerator=given.accelerator))
    load_dataset(base)  # frames are decoded beforehand
    spent = {}
    for name, head in HEADS.items():
        run, config = RunFolder(work / name), replace(base, model=replace(base.model, **head))
        clock, processor = time.monotonic(), time.process_time()
        train(config, run)
        spent[name] = {
            "clock_s": time.monotonic() - clock,
            "processor_s": time.process_time() - processor,
        }
        print(name, spent[name], file=sys.stderr, flush=True)
    write(spent, same_decisions(RunFolder(work / "second")), given)


def same_decisions(run: RunFolder) -> dict[str, Any]:
    """The largest difference of a validation recording's probabilities, on stored features and on
    its frames."""
    config, model = run.read_config(), run.load_model().eval()
    dataset = load_dataset(config)
    part = dataset.part(run.read_split().val)[:1]
    stored = with_features(
        part, model, input_spec_of(model, config.model, dataset.skeleton), config
    )
    predictor = predictor_of(run)
    plain, kept = (predictor(f[0]).probabilities for f in (part, stored))
    return {"frames": len(plain), "largest_difference": float(np.abs(plain - kept).max())}


def write(
    spent: dict[str, dict[str, float]], same: dict[str, Any], given: argparse.Namespace
) -> None:
    frames = given.animals * given.trials * 360
    command = (
        f"python -m benchmarks.feature_cache --animals {given.animals} --trials {given.trials} "
        f"--epochs {given.epochs} --image_size {given.image_size} --encoder {given.encoder} "
        f"--accelerator {given.accelerator}"
    )
    share = {k: spent["second"][k] / spent["first"][k] for k in spent["first"]}
    about = {
        **machine(),
        "command": command,
        "frames": frames,
        "spent": spent,
        "share": share,
        "decisions": same,
    }
    text = [
        "# Heads on stored features", "", f"`{command}`; {machine()}", "",
        "`dolorim train video --visual vit_2d --encoder_weights random --temporal tcn` (windows "
        "of "
        f"{TRAIN.train_T} frames, "
        f"{given.epochs} epochs) on a simulated study of {frames} frames, from gathering to "
        "figures; libraries "
        f"were loaded and "
        "frames decoded before. Random weights: they change nothing about time. The second head: "
        f"{HEADS['second']}.", "",
        "| | clock s | processor s |", "|---|---|---|",
        *(f"| {n} | {s['clock_s']:.1f} | {s['processor_s']:.1f} |" for n, s in spent.items()),
        f"| second over first | {100 * share['clock_s']:.1f} % "
        f"| {100 * share['processor_s']:.1f} % |", "",
        f"Probabilities of a validation recording ({same['frames']} frames), stored features "
        "against frames: largest "
        f"difference {same['largest_difference']:g}.",
    ]  # fmt: skip
    (RESULTS / "feature_cache.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    (RESULTS / "feature_cache.md").write_text("\n".join(text) + "\n", "utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main(sys.argv[1:])
