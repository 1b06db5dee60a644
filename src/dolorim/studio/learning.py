"""What Learn does: the commands of a round, and what is known of the rounds before."""

from __future__ import annotations

from pathlib import Path

from dolorim.studio.home import StudioHome

QUICK = "linear"
"""The head that learns from the fewest bouts, in seconds."""


def label_flags(home: StudioHome, rater: str) -> list[str]:
    """Where the labels are: those of the study, and those of the labeling room before them."""
    flags: list[str] = []
    if home.annotations is not None:
        flags += ["--annotations", str(home.annotations)]
    room = home.labels / rater
    if any(room.glob("*.csv")):
        flags += ["--corrections", str(room)]
    return flags


def learn_commands(home: StudioHome, rater: str, run: Path, head: str = QUICK) -> list[list[str]]:
    """Train a head on all labeled animals, and label the study's videos with it.

    No animals are kept apart: scores are those on animals left out in turn.
    """
    study = home.study_flags()
    train = ["train", "video", *study, *label_flags(home, rater)]
    train += ["--val_animals", "none", "--test_animals", "none"]
    train += ["--head", head, "--cache", str(home.cache), "--run", str(run)]
    predict = ["predict", str(run), str(home.data().videos), "--out", str(home.predictions)]
    return [train, predict]
