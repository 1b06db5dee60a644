"""A run in one file: whole and without paths when it leaves, checked when it arrives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from dolorim import api
from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split
from dolorim.inference.decoder import Decoder
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.shared_run import MANIFEST, open_shared
from dolorim.labels.ethogram import PAIN
from dolorim.models.build import build_recognizer
from dolorim.pose.pose import NO_SKELETON


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of a small untrained network."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    videos = folder.parent / "secret place" / "Videos"
    config = Config(data=DataConfig(videos=videos, image_size=32), model=ModelConfig(clip_length=8))
    run = RunFolder(folder)
    run.start(config, PAIN, Split(train=("201M",)))
    run.save_model(build_recognizer(config.model, len(PAIN), NO_SKELETON, 32))
    run.write_json("decoder.json", Decoder().to_dict())
    return run


@pytest.fixture
def shared(run: RunFolder, tmp_path: Path) -> Path:
    file = tmp_path / "run.zip"
    arguments = ["share", str(run.path), "--out", str(file), "--license", "CC-BY-4.0", "--quiet"]
    arguments += ["--about", "C57BL/6 from below"]
    assert main(arguments) == 0
    return file


def changed(file: Path, name: str, content: bytes) -> Path:
    """The same shared run with another file in place of one, or beside the others."""
    other = file.with_name(f"with {file.name}")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w") as target:
        for member in source.namelist():
            if member != name:
                target.writestr(member, source.read(member))
        target.writestr(name, content)
    return other


def test_a_shared_run_holds_no_path_of_this_machine_and_names_its_license(shared: Path) -> None:
    with zipfile.ZipFile(shared) as archive:
        assert {"model.safetensors", "model_card.md", MANIFEST} < set(archive.namelist())
        assert all(
            "secret place" not in archive.read(n).decode("latin1") for n in archive.namelist()
        )
        assert json.loads(archive.read(MANIFEST))["license"] == "CC-BY-4.0"
        card = archive.read("model_card.md").decode()
        assert "CC-BY-4.0" in card
        assert "C57BL/6 from below" in card


def test_a_shared_run_is_the_run(shared: Path, run: RunFolder) -> None:
    opened = api.load_run(shared).folder
    ours, theirs = run.load_model().state_dict(), opened.load_model().state_dict()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert opened.read_config().data.videos is None
    # Opened again, nothing is unpacked; a folder of somebody's own is never touched.
    assert open_shared(shared).path == opened.path
    other = shared.with_name("other.zip")
    other.write_bytes(shared.read_bytes())
    other.with_name("other.shared").mkdir()
    with pytest.raises(UserError, match="in the way"):
        open_shared(other)


@pytest.mark.parametrize("name", ["../evil.json", "/tmp/evil.json", "sub/evil.json", "evil.py"])
def test_a_file_that_no_run_has_is_refused_wherever_it_wants_to_go(shared: Path, name: str) -> None:
    with pytest.raises(UserError, match="not a whole shared run"):
        open_shared(changed(shared, name, b"x"))
    with zipfile.ZipFile(shared) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["files"][name] = {"bytes": 1, "sha256": "0"}
    listed = changed(changed(shared, name, b"x"), MANIFEST, json.dumps(manifest).encode())
    with pytest.raises(UserError, match="is no file of a run"):
        open_shared(listed)
    assert not list(shared.parent.rglob("evil*"))


def test_changed_weights_and_files_that_are_no_zip_are_refused(shared: Path) -> None:
    with pytest.raises(UserError, match="not what was packed"):
        open_shared(changed(shared, "model.safetensors", b"x" * 1000))
    cut = shared.with_name("cut.zip")
    cut.write_bytes(shared.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole shared run"):
        open_shared(cut)
    assert main(["predict", str(cut), "video.mp4"]) == 2


def test_a_file_that_unpacks_to_more_than_it_promises_is_refused(shared: Path) -> None:
    with zipfile.ZipFile(shared) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["files"]["model.safetensors"]["bytes"] = 1 << 60
    with pytest.raises(UserError, match="does not list files"):
        open_shared(changed(shared, MANIFEST, json.dumps(manifest).encode()))
