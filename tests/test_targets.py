"""Where results cannot be written, a command says so in one line before it does any work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dolorim.cli import main
from dolorim.core.errors import UserError
from dolorim.files.targets import check_file, check_folder

COMMANDS = {
    "predict": ["predict", "RUN", "VIDEO.mp4", "--out", "FILE"],
    "predict below a file": ["predict", "RUN", "VIDEO.mp4", "--out", "FILE/labels"],
    "extract": ["extract", "STUDY", "--cache", "FILE"],
    "train": ["train", "video", "--videos", "STUDY", "--annotations", "STUDY", "--run", "FILE"],
    "demo": ["demo", "--out", "FILE"],
    "report": ["report", "STUDY", "--groups", "groups.csv", "--out", "FILE"],
    "review": ["review", "STUDY", "--out", "FILE"],
    "export": ["export", "STUDY", "--to", "boris", "--out", "FILE"],
    "check": ["check", "STUDY", "--json", "STUDY"],
    "evaluate": ["evaluate", "RUN", "--json", "STUDY"],
    "agree": ["agree", "STUDY", "STUDY", "--json", "FILE/figures.json"],
    "inspect": ["inspect", "VIDEO.mp4", "--crops", "STUDY"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_cannot_be_written_to_is_named_before_any_work(
    tmp_path: Path, trained: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "study").mkdir()
    places = {"RUN": str(trained), "STUDY": str(tmp_path / "study"), "FILE": str(tmp_path / "file")}
    words = COMMANDS[name]
    for word, place in places.items():
        words = [w.replace(word, place) for w in words]
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("error: --")
    assert "a file" in lines[0] or "a folder" in lines[0]
    assert (tmp_path / "file").read_text() == "mine"
    assert list((tmp_path / "study").iterdir()) == []


def test_places_that_can_be_made_are_fine(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b", "--out")
    check_folder(tmp_path, "--out")
    check_folder(None, "--out")
    check_file(tmp_path / "a" / "x.json", "--json")
    check_file(Path("-"), "--json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="whoever may do everything is not refused"
)
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="cannot be written to"):
            check_folder(tmp_path / "a", "--out")
    finally:
        tmp_path.chmod(0o700)


def test_links_to_nothing_and_names_that_are_too_long_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="--out"):
        check_folder(tmp_path / "link", "--out")
    with pytest.raises(UserError, match="cannot be used"):
        check_folder(tmp_path / ("x" * 300), "--out")
