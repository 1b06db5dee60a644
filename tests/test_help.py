"""`--help` is short, names options that exist, and knows the words that people type."""

import contextlib
import re
from pathlib import Path

import pytest

from dolorim.cli import main
from dolorim.cli.short_help import HELP

WITH_OPTIONS = [command for command in HELP if command != "dolorim train"]


def printed(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(SystemExit):
        main([*command.split()[1:], flag])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", HELP)
def test_the_first_page_fits_on_a_screen_and_has_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(command, "--help", capsys)
    assert len(text.splitlines()) <= 40
    assert "examples:" in text


@pytest.mark.parametrize("command", WITH_OPTIONS)
def test_every_option_of_the_first_page_is_one_of_all_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = printed(command, "--help_all", capsys)
    known = set(re.findall(r"--[a-zA-Z_]+", everything))
    for options in HELP[command].groups.values():
        named = {flag.split()[0] for flag in options}
        assert named <= known


def test_train_alone_answers_with_the_three_approaches_and_the_built_in_behaviors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed("dolorim train", "--help", capsys)
    assert all(f"  {approach} " in text for approach in ("video", "multimodal", "multitask"))
    assert "3 paw_guard" in text
    assert "count as paw_withdraw" in text


def test_fps_is_understood_as_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "not-there", "--groups", "g.csv", "--fps", "30"]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["review", "inspect", "check", "extract"])
def test_a_setting_that_a_verb_does_not_read_is_an_error_that_says_so(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(tmp_path), "--epochs", "3"]) == 2
    assert f"dolorim {verb} does not read --epochs" in capsys.readouterr().err
