"""Damaged files: whatever is in them, they are read, or refused in one line. `benchmarks.fuzz` does
this at length."""

import pickle
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from dolorim.config import Config, DataConfig, config_toml, read_config
from dolorim.core.errors import UserError
from dolorim.labels.annotations import read_annotations, sniff
from dolorim.labels.ethogram import PAIN
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.export import export_predictions
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.read import read_poses
from dolorim.pose.read_h5 import _labels
from dolorim.pose.write_dlc import write_dlc
from dolorim.video.reader import probe
from mutations import mutate
from videos import numbered

CASES = 60  # of each kind
LABELS = np.repeat(np.arange(6, dtype=np.int16), 5)
FOUND = Predictions(
    "v", PAIN.classes, LABELS, np.full((30, 6), 1 / 6), np.arange(30) / 30, {"run": "r"}
)
CALTECH = (
    "Caltech Behavior Annotator - Annotation File\n\n"
    "S1:\tstart\tend\ttype\n---\n\t1\t9\trest\n\t10\t20\twalk\n"
)
TABULAR = (
    "Observation id,o\nTime,FPS,Subject,Behavior,Status\n0.1,30,m,walk,START\n0.5,30,m,walk,STOP\n"
)


def labels(path):
    sniff(path)
    config, conflicts = DataConfig(on_conflict="warn"), Conflicts("warn")
    for file in read_annotations(path, PAIN, config, conflicts).values():
        if isinstance(file, Events):
            file.on_frames(30, np.arange(30) / 30, -1, conflicts)
        else:
            file.counted_from_zero(360, 15)


def _text(name, text):
    return lambda folder: (folder / name).write_text(text, "utf-8")


def _pose(folder):
    write_dlc(folder / "x.csv", "s", ["nose", "tail"], np.ones((9, 2, 2)), np.ones((9, 2)))


def _predictions(folder):
    write_predictions(folder / "all", FOUND)
    (folder / "all" / "v.predictions.csv").replace(folder / "v.predictions.csv")


KINDS = {
    "labels": (lambda f: write_labels(f / "v.csv", LABELS, PAIN), labels),
    "boris": (lambda f: export_predictions(f, FOUND, "boris"), labels),
    "boris tabular": (_text("v.csv", TABULAR), labels),
    "deepethogram": (lambda f: export_predictions(f, FOUND, "deepethogram"), labels),
    "simba": (lambda f: export_predictions(f, FOUND, "simba"), labels),
    "bouts": (lambda f: export_predictions(f, FOUND, "bouts"), labels),
    "caltech": (_text("v.txt", CALTECH), labels),
    "pose": (_pose, read_poses),
    "predictions": (_predictions, read_predictions),
    "ethogram": (lambda f: write_ethogram(f / "e.toml", PAIN), read_ethogram),
    "classes": (
        _text("classes.csv", "id,name,merged\n0,rest,rest\n1,lick,lick\n2,bite,lick\n"),
        read_ethogram,
    ),
    "config": (_text("config.toml", config_toml(Config())), read_config),
}


def refusals(path, sound, read):
    """What is said about damaged versions of sound files, where they are refused."""
    said = []
    for seed in range(CASES):
        path.write_bytes(mutate(sound[seed % len(sound)], seed))
        try:
            read(path)
        except UserError as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, kind):
    make, read = KINDS[kind]
    make(tmp_path)
    sound = next(p for p in sorted(tmp_path.iterdir()) if p.is_file() and p.suffix != ".json")
    read(sound)
    said = refusals(sound, [sound.read_bytes()], read)
    assert said
    assert [s for s in said if str(sound) not in s or len(s.splitlines()) > 1] == []


def test_damaged_hdf5_is_refused_and_nothing_of_it_is_unpickled(tmp_path, real_data):
    sounds = [
        p
        for p in sorted((real_data / "formats" / "pose").glob("*.h5"))
        if 0 < p.stat().st_size < 90_000
    ]
    path = tmp_path / "x.h5"
    said = refusals(path, [p.read_bytes() for p in sounds], read_poses)
    assert said
    assert [s for s in said if str(path) not in s] == []


def test_a_few_bytes_that_claim_to_be_terabytes_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        shape, chunks = (1, 2, 1, 4 * 10**9), (1, 2, 1, 10**6)
        file.create_dataset("tracks", shape, "f8", chunks=chunks, compression="gzip", fillvalue=1.0)
        file["node_names"] = [b"nose"]
    assert (tmp_path / "x.h5").stat().st_size < 10_000
    with pytest.raises(
        UserError, match=r"tracks claims 6.4e\+10 bytes, more than the file can hold"
    ):
        read_poses(tmp_path / "x.h5")


def test_labels_of_columns_that_would_be_endless_when_written_out_are_refused():
    bomb = "x"
    for _ in range(60):
        bomb = (bomb, bomb)
    with pytest.raises(UserError, match="something that is no label"):
        _labels(Path("x.h5"), pickle.dumps([("scorer", bomb, "x")], protocol=2))


@pytest.mark.parametrize("text", ["[" * 5000, "9" * 5000, '{"a": ' * 3000, "\x00", "[1]", "null"])
def test_json_that_goes_too_deep_or_is_no_object_is_a_users_error(tmp_path, text):
    write_predictions(tmp_path, FOUND)
    (tmp_path / "v.meta.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"v\.meta\.json: not"):
        read_predictions(tmp_path / "v.predictions.csv")


def test_an_error_is_one_printable_line_whatever_a_file_is_called():
    error = str(UserError("a\nb\x1b[31m\u202ec" + 5000 * "x"))
    assert error.startswith("a b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}cxx")
    assert len(error.splitlines()) == 1
    assert len(error) < 2100


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", f"id,name\n{'9' * 5000},a\n1,b\n"),
        ("e.toml", f'[[raw]]\nid = {"9" * 30}\nname = "a"\n'),
        ("e.toml", f"classes = {'[' * 3000}"),
    ],
)
def test_ids_and_brackets_that_no_ethogram_has_are_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"expected|not valid TOML"):
        read_ethogram(tmp_path / name)


def test_a_video_whose_title_is_not_utf8_is_read(tmp_path):
    tagged = tmp_path / "tagged.mkv"
    with av.open(str(tagged), "w") as target:
        target.metadata["title"] = "TITLE"
        stream = target.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in numbered(5):
            target.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
                )
            )
        target.mux(stream.encode(None))
    tagged.write_bytes(tagged.read_bytes().replace(b"TITLE", b"T\xf3TL\xe9", 1))
    assert probe(tagged).width_px == 96
