"""Weights & Biases, without a network."""

from pathlib import Path

import pytest

from dolorim.cli import main

pytest.importorskip("wandb")


def test_a_run_is_logged_to_weights_and_biases_offline(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    command = ["train", "multimodal", "--visual", "none", "--pose", "graph", "--dlc", str(study / "DLC")]
    command += ["--annotations", str(study / "Annotations"), "--trial_length", "90", "--epochs", "1"]
    command += ["--run", str(tmp_path / "run"), "--accelerator", "cpu", "--use_wandb", "--quiet"]
    assert main(command) == 0
    runs = [*(tmp_path / "run" / "logs" / "wandb").glob("offline-run-*/*.wandb")]
    assert len(runs) == 1
    assert runs[0].stat().st_size > 1000
