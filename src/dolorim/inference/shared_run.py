"""A run in one file, for somebody else: weights, settings, and card, without videos and paths.

A shared run is a ZIP file whose `share.json` lists every other file with its size and SHA-256. What
is unpacked is only what the list names, only under the names that a run folder knows, and only if
size and checksum fit; so a damaged or hostile file writes nothing outside of its own folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from dolorim import __version__
from dolorim.config import Config, config_toml
from dolorim.core.errors import UserError
from dolorim.files.structured import parse_json, read_json
from dolorim.files.targets import check_file
from dolorim.inference.encoder_folder import CARD
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.run_paths import without_paths
from dolorim.inference.unlike import read_appearances

MANIFEST = "share.json"
NO_LICENSE = "none stated: ask the authors before you use it"
# Files of a run that others need. `paths.json`, predictions, logs, and checkpoints stay here.
_WRITTEN_ANEW = ("config.toml", CARD)
_COPIED = (
    *("model.safetensors", "ethogram.toml", "splits.json", "skeleton.json", "head.json"),
    *("decoder.json", "conformal.json", "body_lengths.json", "training_recordings.json"),
    *("training.json", "metrics.json", "seen_before.json", "model_card.md"),
)
_NEEDED = ("config.toml", "model.safetensors", "ethogram.toml", "splits.json", "decoder.json")
_MOST_BYTES = 8 << 30  # of all files; the largest network that a run can have takes about 2 GB
_MOST_BYTES_OF_TEXT = 64 << 20  # of a file that is not the weights
_PIECE = 1 << 20  # bytes that are read at a time


def share_run(
    run: RunFolder, out: Path, license_text: str = NO_LICENSE, about: str = ""
) -> list[str]:
    """Write a run as one file; returns the names of what is in it.

    Raises `UserError` for a run that has not finished or is cross-validated, and where the file
    cannot be written.
    """
    # A cross-validated run has no network of its own that could be shared.
    run.refuse_folds()
    check_file(out, "--out")
    if out.suffix != ".zip":
        raise UserError(f"--out {out}: expected a name that ends in .zip")
    if not run.weights.exists():
        raise UserError("has no weights yet", where=run.path, remedy="let training finish")
    # Beside its target, so that the finished file only has to be renamed.
    with tempfile.TemporaryDirectory(dir=_existing(out.parent)) as name:
        staged = Path(name)
        files = collect_run(run, staged, license_text, about)
        part = staged / "run.zip"
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in [MANIFEST, *files]:
                archive.write(staged / file, file)
        part.replace(out)
    return files


def collect_run(
    run: RunFolder, folder: Path, license_text: str = NO_LICENSE, about: str = ""
) -> list[str]:
    """Put what others need of a run into a folder, with a list of it; returns the names."""
    for name in _COPIED:
        if (run.path / name).exists():
            shutil.copyfile(run.path / name, folder / name)
    # Settings are written anew, because those of the run name folders of this machine.
    config = without_paths(run.read_config())
    (folder / "config.toml").write_text(config_toml(config), encoding="utf-8")
    if (run.path / CARD).exists():
        card = _without_names(read_json(run.path / CARD))
        (folder / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
    _add_facts(folder / "model_card.md", run, config, license_text, about)
    files = [name for name in (*_WRITTEN_ANEW, *_COPIED) if (folder / name).exists()]
    listed = {name: _described(folder / name) for name in files}
    stated = {"dolorim": __version__, "name": run.path.resolve().name, "license": license_text}
    manifest = json.dumps({**stated, "files": listed}, indent=1) + "\n"
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    return files


def open_shared(file: Path) -> RunFolder:
    """The run in a shared file, unpacked beside it into `<name>.shared`.

    What was unpacked before is used again, if the file is still the same. Raises `UserError` for
    anything that is not a whole, unchanged shared run.
    """
    # The checksum of the whole file tells whether it is the one that was unpacked before.
    digest = _digest(file)
    folder = file.with_name(f"{file.stem}.shared")
    mark = folder / ".unpacked"
    if mark.is_file() and mark.read_text("utf-8") == digest:
        return RunFolder(folder)
    if folder.exists() and not mark.is_file():
        raise UserError(
            "is in the way of what the shared run unpacks to",
            where=folder,
            remedy="move it, or move the shared file to another folder",
        )
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as name:
            unpacked = Path(name) / "run"
            unpacked.mkdir()
            _unpack(file, unpacked)
            (unpacked / mark.name).write_text(digest, encoding="utf-8")
            if folder.exists():
                _replace_files(folder, unpacked)
            else:
                unpacked.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot be unpacked beside the file ({error.strerror})",
            where=file,
            remedy="copy it to a folder that you can write to",
        ) from None
    return RunFolder(folder)


def _replace_files(folder: Path, unpacked: Path) -> None:
    """Put another version of a shared run in place of one; predictions stay."""
    for name in (MANIFEST, *_WRITTEN_ANEW, *_COPIED):
        (folder / name).unlink(missing_ok=True)
    # The mark is written last, because it says that everything is there.
    for file in sorted(unpacked.iterdir(), key=lambda path: path.name.startswith(".")):
        file.replace(folder / file.name)


def _unpack(file: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            listed = _read_manifest(archive, file)
            # A ZIP file may hold a name twice, of which only one would be checked.
            names = archive.namelist()
            expected = {MANIFEST, *listed}
            if len(names) != len(expected) or set(names) != expected:
                odd = sorted(set(names) ^ expected)[:1] or ["a file that is there twice"]
                raise _not_shared(file, f"its list and its content differ in {odd[0]!r}")
            for name, described in listed.items():
                with archive.open(name) as source:
                    _copy(source, folder / name, described, file)
            (folder / MANIFEST).write_bytes(archive.read(MANIFEST))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        # RuntimeError: encrypted. NotImplementedError: an unknown way of packing.
        raise _not_shared(file, str(error)) from None


def _read_manifest(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """The listed files by name, each of a kind and size that a run has."""
    if MANIFEST not in archive.namelist():
        raise _not_shared(file, f"it holds no {MANIFEST}")
    # The size in a ZIP file is only a claim, so reading ends where the list would be too long.
    with archive.open(MANIFEST) as source:
        text = source.read(_MOST_BYTES_OF_TEXT + 1)
    if len(text) > _MOST_BYTES_OF_TEXT:
        raise _not_shared(file, f"{MANIFEST} is too large")
    manifest = parse_json(text, f"{file}: {MANIFEST}", "copy it again")
    listed = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(listed, dict) or not all(map(_is_description, listed.values())):
        raise _not_shared(file, f"{MANIFEST} does not list files with their size and SHA-256")
    for name in listed:
        if name not in (*_WRITTEN_ANEW, *_COPIED):
            raise _not_shared(file, f"{name!r} is no file of a run")
    for name in _NEEDED:
        if name not in listed:
            raise _not_shared(file, f"it lacks {name}")
    if sum(described["bytes"] for described in listed.values()) > _MOST_BYTES:
        raise _not_shared(file, "it is larger than any run")
    return listed


def _is_description(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("sha256"), str):
        return False
    size = value.get("bytes")
    return isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _MOST_BYTES


def _copy(source: IO[bytes], target: Path, described: Mapping[str, Any], file: Path) -> None:
    """Write a packed file, as far as it is as long as promised and has the promised checksum."""
    left, hashed = described["bytes"], hashlib.sha256()
    if target.suffix != ".safetensors" and left > _MOST_BYTES_OF_TEXT:
        raise _not_shared(file, f"{target.name} is too large")
    with target.open("wb") as written:
        # One byte more than promised, so that a longer file is noticed and not written out.
        while piece := source.read(min(_PIECE, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            hashed.update(piece)
            written.write(piece)
    if left != 0 or hashed.hexdigest() != described["sha256"]:
        raise _not_shared(file, f"{target.name} is not what was packed")


def _not_shared(file: Path, why: str) -> UserError:
    remedy = "copy it again, or ask for it again; `dolorim share` makes such files"
    return UserError(f"not a whole shared run: {why}", where=file, remedy=remedy)


def _described(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": _digest(file)}


def _digest(file: Path) -> str:
    if not file.is_file():
        raise UserError(f"{file}: there is no such file")
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _without_names(card: Any) -> Any:
    """The card of an encoder, in which videos are known by their content alone."""
    videos = [{key: video[key] for key in ("bytes", "ends")} for video in card.get("videos", ())]
    return {**card, "videos": videos}


def _add_facts(card: Path, run: RunFolder, config: Config, license_text: str, about: str) -> None:
    """Add to the card what somebody else must know before using the run."""
    text = ""
    if card.exists():
        text = card.read_text("utf-8").rstrip() + "\n\n"
    facts = [f"- License: {license_text}"]
    if about:
        facts.append(f"- Animals and camera: {about}")
    rates = sorted({seen.rate_hz for seen in read_appearances(run)})
    if rates:
        facts.append(f"- Frame rates of the recordings: {rates[0]:g} to {rates[-1]:g} Hz")
    lengths = dataclasses.asdict(run.read_body_lengths())
    for kind, by_size in lengths.items():
        facts += [f"- Body length in {kind} of {s} pixels: {px} px" for s, px in by_size.items()]
    facts.append(f"- Pictures that the network sees: {config.data.image_size} px")
    card.write_text(text + "\n".join(["## Shared", "", *facts, ""]), encoding="utf-8")


def is_shared(path: Path) -> bool:
    """Does this path name a shared run, and not a run folder?"""
    return path.suffix == ".zip" and not path.is_dir() and os.path.lexists(path)
