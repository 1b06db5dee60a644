"""The house keeps its own rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dolorim.cli import VERBS

HOME = Path(__file__).parents[1]


def test_who_may_import_whom_is_as_agreed() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    process = subprocess.run([lint, "--no-cache"], cwd=HOME, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


def test_no_file_has_outgrown_its_room() -> None:
    sizes = {p: len(p.read_text("utf-8").splitlines()) for p in (HOME / "src").rglob("*.py")}
    assert len(sizes) > 30
    assert {p: n for p, n in sizes.items() if n > 400} == {}


def test_the_readme_explains_every_verb_and_every_folder_of_the_package() -> None:
    text = (HOME / "README.md").read_text("utf-8")
    folders = [
        p.name
        for p in (HOME / "src" / "dolorim").iterdir()
        if p.is_dir() and (p / "__init__.py").exists()
    ]
    assert all(f"  {name}/" in text for name in folders)
    assert [v for v in VERBS if f"dolorim {v}" not in text and f"`{v}`" not in text] == []
