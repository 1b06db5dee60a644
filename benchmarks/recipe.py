"""The recipe of training, taken apart: corrections for rare classes, cleaning of points, and the
classic recipe.

    python -m benchmarks.recipe [--seeds 3] [--epochs 30] [--jobs 2]
    python -m benchmarks.recipe --choose [--seeds 4]

On simulated studies with animals held out, which show that the parts work together, and no more.
Only poses go through the network over time (`multitask --visual none`), which needs no GPU. Every
variant trains for the same number of epochs, so a busy machine changes nothing. With `--choose`,
candidates for the default are scored on the validation animals of other studies: the default was
chosen that way, without a look at any test animal.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.common import RESULTS, machine
from benchmarks.ladder import HARD, PLAN, TEST, VAL, figures, simulated, table, train_all

BASE = ["multitask", "--tasks", "action_only", "--visual", "none", "--accelerator", "cpu"]
RECIPES: dict[str, list[str]] = {
    "default": [],
    "no correction": ["--sampling", "frames", "--class_weights", "none"],
    "class weights alone": ["--sampling", "frames"],
    "bouts drawn equally alone": ["--class_weights", "none"],
    "focal loss alone": ["--sampling", "frames", "--class_weights", "none", "--focal_gamma", "2"],
    "rare classes drawn more often alone": [
        "--sampling", "frames", "--class_weights", "none", "--rare_threshold_share", "0.1",
    ],
    "whole inverse weights": ["--class_weight_power", "1"],
    "soft boundaries on top": ["--soft_boundaries", "2"],
    "points hidden": ["--kp_hide", "0.1"],
    "likelihood above 0.9": ["--kp_likelihood_thr", "0.9"],
    "default until 2026-11-27": ["--class_weight_power", "1", "--kp_hide", "0.1"],
    "classic": ["--recipe", "classic", "--min_frames", "0"],
    "classic at our learning rate": [
        "--recipe", "classic", "--min_frames", "0", "--lr", "1e-3", "--warmup_epochs", "1",
        "--ema_decay", "0.99",
    ],
}  # fmt: skip
CANDIDATES: dict[str, list[str]] = {
    "default": [],
    "default until 2026-11-27": ["--class_weight_power", "1", "--kp_hide", "0.1"],
    "that, without class weights": ["--class_weights", "none", "--kp_hide", "0.1"],
    "that, with milder weights": ["--kp_hide", "0.1"],
    "that, with no points hidden": ["--class_weight_power", "1"],
    "no class weights": ["--class_weights", "none"],
    "weights milder still": ["--class_weight_power", "0.3"],
    "soft boundaries": ["--soft_boundaries", "2"],
}
FIRST_TO_CHOOSE_BY = 10  # seed of the first of the studies that test nothing


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="studies")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--work", type=Path, default=None, help="folder that is kept")
    parser.add_argument(
        "--choose", action="store_true", help="candidates, on validation animals of other studies"
    )
    given = parser.parse_args([] if arguments is None else arguments)
    work = given.work or Path(tempfile.mkdtemp(prefix="recipe-"))
    recipes, part = (CANDIDATES, "val") if given.choose else (RECIPES, "test")
    first = FIRST_TO_CHOOSE_BY if given.choose else 0
    seeds = range(first, first + given.seeds)
    simulated(work, seeds)
    variants = {
        name: [*BASE, *flags, "--epochs", str(given.epochs)] for name, flags in recipes.items()
    }
    with ThreadPoolExecutor(given.jobs) as pool:
        done = train_all(pool, work, variants, seeds, part)
    rows = {name: [figures(m.get("argmax", m)) for m in metrics] for name, metrics in done.items()}
    decoded = {name: [figures(m) for m in metrics] for name, metrics in done.items()}
    animals = {"val": VAL} if given.choose else {"test": TEST}
    about = {**machine(), "seeds": list(seeds), "epochs": given.epochs, "study": PLAN, **animals}
    choose = " --choose" * given.choose
    command = f"python -m benchmarks.recipe{choose} --seeds {given.seeds} --epochs {given.epochs}"
    title = (
        "# The recipe, as validation animals see it (simulated)"
        if given.choose
        else "# The recipe (simulated)"
    )
    text = [title, "", f"`{command}`", "", f"{HARD} {json.dumps(about)}", ""]
    text += [f"`dolorim train {' '.join(BASE)}`, each change alone against the default.", ""]
    text += ["## The likeliest class", "", *table(rows, "default"), ""]
    if not given.choose:  # validation animals fit the decoder, too
        text += [
            "## With the decoder, fitted on validation animals",
            "",
            *table(decoded, "default"),
            "",
        ]
    text += [
        "| | flags |",
        "|---|---|",
        *(f"| {name} | `{' '.join(flags)}` |" for name, flags in recipes.items()),
    ]
    kept = RESULTS / ("recipe_choice" if given.choose else "recipe")
    scores = {"argmax": rows} if given.choose else {"argmax": rows, "decoded": decoded}
    kept.with_suffix(".json").write_text(
        json.dumps({**about, "flags": recipes, **scores}, indent=1) + "\n", "utf-8"
    )
    kept.with_suffix(".md").write_text("\n".join(text) + "\n", "utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main(sys.argv[1:])
