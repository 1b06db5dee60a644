"""Weights & Biases, without a network."""

from pathlib import Path

import pytest

from dolorim.cli import main

wandb = pytest.importorskip("wandb")


def command(study: Path, folder: Path) -> list[str]:
    words = [
        "train",
        "multimodal",
        "--visual",
        "none",
        "--pose",
        "graph",
        "--dlc",
        str(study / "DLC"),
    ]
    words += ["--annotations", str(study / "Annotations"), "--trial_length", "90", "--epochs", "1"]
    return [*words, "--run", str(folder / "run"), "--accelerator", "cpu", "--use_wandb", "--quiet"]


def test_a_run_is_logged_to_weights_and_biases_offline(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert main(command(study, tmp_path)) == 0
    runs = [*(tmp_path / "run" / "logs" / "wandb").glob("offline-run-*/*.wandb")]
    assert len(runs) == 1
    assert runs[0].stat().st_size > 1000


def test_what_weights_and_biases_refuses_is_one_line(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(**_: object) -> None:
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", refuses)
    assert main(command(study, tmp_path)) == 2
    assert "error: --use_wandb: api_key not configured; try wandb login" in capsys.readouterr().err
