"""What `pip install dolorim` installs."""

from pathlib import Path

import pytest

wheel = pytest.importorskip("hatchling.builders.wheel")
ROOT = Path(__file__).parents[1]


def test_the_wheel_has_every_file_of_the_package() -> None:
    package = ROOT / "src" / "dolorim"
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    expected = {path.relative_to(package.parent).as_posix() for path in files}
    built = wheel.WheelBuilder(str(ROOT)).recurse_included_files()
    assert {Path(file.distribution_path).as_posix() for file in built} == expected
    kinds = {Path(name).suffix for name in expected}
    assert kinds >= {".py", ".html", ".toml", ".js", ".css", ".svg", ".typed"}
