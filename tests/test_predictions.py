"""What a model says about a video, in memory and on disk."""

import errno
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.files.tables import read_table
from dolorim.labels.bouts import Bout
from dolorim.labels.prediction_files import (
    meta_path,
    read_bouts,
    read_predictions,
    write_predictions,
)
from dolorim.labels.predictions import Predictions


def predicted(labels, classes=("rest", "lick"), rate_hz=10.0, **meta):
    labels = np.array(labels)
    probabilities = np.full((len(labels), len(classes)), 0.25)
    probabilities[np.arange(len(labels)), labels] = 0.75
    return Predictions("v", classes, labels, probabilities, np.arange(len(labels)) / rate_hz, meta)


@st.composite
def any_predictions(draw):
    words = st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=";\t"),
        min_size=1,
        max_size=8,
    )
    classes = tuple(
        draw(st.lists(words.map(lambda w: f"c{w}".strip()), min_size=2, max_size=5, unique=True))
    )
    labels = np.array(draw(st.lists(st.integers(-1, len(classes) - 1), min_size=1, max_size=40)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    text = st.text(max_size=9)
    meta = draw(
        st.fixed_dictionaries(
            {}, optional={"run": text, "video": text, "sha256": text | st.integers()}
        )
    )
    return Predictions(
        "day 1.left", classes, labels, rng.dirichlet(np.ones(len(classes)),
        len(labels)).astype(np.float32),
        rng.uniform(0, 0.1) + np.arange(len(labels)) / rng.uniform(10, 200), meta,
    )  # fmt: skip


@settings(deadline=None)
@given(any_predictions())
def test_predictions_that_are_written_and_read_are_the_same_to_four_decimals_and_microseconds(
    written,
):
    with tempfile.TemporaryDirectory() as folder:
        write_predictions(Path(folder), written)
        predictions = read_predictions(Path(folder, "day 1.left.predictions.csv"))
    assert (predictions.name, predictions.classes) == (written.name, written.classes)
    assert predictions.labels.tolist() == written.labels.tolist()
    np.testing.assert_allclose(
        predictions.probabilities, written.probabilities, rtol=0, atol=5.1e-5
    )
    np.testing.assert_allclose(predictions.time_s, written.time_s, rtol=0, atol=5.1e-7)
    added = {"classes": list(written.classes), "n_frames": len(written.labels)}
    about_files = ("tables", "video_absolute", "video_relative")
    kept = {name: value for name, value in predictions.meta.items() if name not in about_files}
    assert kept == {**written.meta, **added, "length_s": round(written.length_s, 6)}


def test_a_bout_carries_the_mean_probability_of_its_own_class():
    predictions = predicted([0, 0, 1, 1, 0])
    predictions.probabilities[2:4, 1] = [0.6, 0.9]
    assert predictions.bouts() == [
        (Bout(0, 2, 0), 0.75),
        (Bout(2, 4, 1), 0.75),
        (Bout(4, 5, 0), 0.75),
    ]


def test_unlabelled_frames_of_a_prediction_are_no_bouts():
    assert [bout for bout, _ in predicted([-1, 1, 1, -1]).bouts()] == [Bout(1, 3, 1)]


def test_a_bout_lasts_until_the_frame_after_it_and_the_last_frame_as_long_as_a_usual_one():
    predictions = predicted([0] * 5)
    predictions.time_s[:] = [0.0, 0.1, 0.2, 0.5, 0.6]
    assert predictions.interval_s(Bout(1, 3, 0)) == (0.1, 0.5)
    assert predictions.interval_s(Bout(3, 5, 0)) == pytest.approx((0.5, 0.7))


def test_times_count_from_the_first_frame_wherever_the_clock_of_the_container_begins(tmp_path):
    """Version 0.1.0 wrote the container's clock into its tables: 300.825 s for a bout that begins
    after 0.825 s."""
    late = Predictions(
        "v",
        ("rest", "lick"),
        np.array([0] * 9 + [1] * 3),
        np.full((12, 2), 0.5),
        300 + np.arange(12) / 12,
    )
    assert late.interval_s(Bout(9, 12, 1)) == pytest.approx((0.75, 1.0))
    assert late.length_s == pytest.approx(1.0)
    write_predictions(tmp_path, late)
    predictions = read_predictions(tmp_path / "v.predictions.csv")
    assert (predictions.time_s[0], predictions.container_time_s[0]) == (0.0, 300.0)
    assert [row[2] for row in read_table(tmp_path / "v.bouts.csv").rows] == ["0.000000", "0.750000"]
    rows = [f"{i},{300 + i / 12:.4f},{'lick' if i > 8 else None},0.5,0.5" for i in range(12)]
    (tmp_path / "v.predictions.csv").write_text(
        "\n".join(["frame,time_s,label,p_rest,p_lick", *rows])
    )
    (tmp_path / "v.bouts.csv").write_text(
        "start_frame,stop_frame,start_s,stop_s,label\n9,12,300.75,301.0,lick\n"
    )
    meta_path(tmp_path, "v").write_text(
        json.dumps({"classes": ["rest", "lick"], "n_frames": 12, "fps": 12.0})
    )
    old = read_bouts(tmp_path, "v")
    assert old.start_s == pytest.approx([0.75], abs=1e-4)
    (tmp_path / "v.predictions.csv").unlink()  # docs/scale.md: it may be put away
    assert read_bouts(tmp_path, "v").start_s == pytest.approx([0.75], abs=1e-4)


def test_a_recording_with_a_pause_is_as_long_as_its_timestamps_say(tmp_path):
    times = np.append(np.arange(10), 60.0 + np.arange(10)) / 10
    write_predictions(
        tmp_path,
        Predictions("v", ("rest",), np.zeros(20, int), np.ones((20, 1)), times, {"fps": 10.0}),
    )
    assert read_bouts(tmp_path, "v").length_s == pytest.approx(7.0)
    (tmp_path / "v.bouts.csv").unlink()
    assert read_bouts(tmp_path, "v").length_s == pytest.approx(7.0)


@pytest.mark.parametrize("rate_hz", [15, 29.97, 30, 60, 120, 300])
@pytest.mark.parametrize("digits", [3, 4, 9])  # Matroska and our first tables round times
@pytest.mark.parametrize("pause", [False, True])
def test_rounded_timestamps_tell_the_true_rate(rate_hz, digits, pause):
    times = np.arange(3000) / rate_hz
    times[1500:] += 20 * pause
    assert rate_of(times.round(digits)) == pytest.approx(rate_hz, rel=1e-4)


def test_a_video_of_one_frame_has_a_bout_without_duration():
    assert predicted([1]).interval_s(Bout(0, 1, 1)) == (0.0, 0.0)


def test_the_bouts_file_says_where_each_bout_begins_and_ends_in_frames_and_seconds(tmp_path):
    write_predictions(tmp_path, predicted([0, 0, 0, 1, 1, 0]))
    table = read_table(tmp_path / "v.bouts.csv")
    assert table.header == (
        "start_frame",
        "stop_frame",
        "start_s",
        "stop_s",
        "label",
        "mean_probability",
    )
    assert table.rows == [
        ["0", "3", "0.000000", "0.300000", "rest", "0.7500"],
        ["3", "5", "0.300000", "0.500000", "lick", "0.7500"],
        ["5", "6", "0.500000", "0.600000", "rest", "0.7500"],
    ]


def test_the_predictions_file_has_one_row_a_frame_with_one_probability_a_class(tmp_path):
    write_predictions(tmp_path, predicted([0, 1] * 3000))
    table = read_table(tmp_path / "v.predictions.csv")
    assert table.header == ("frame", "time_s", "label", "p_rest", "p_lick")
    assert [int(row[0]) for row in table.rows] == list(range(6000))
    assert table.rows[4097] == ["4097", "409.700000", "lick", "0.2500", "0.7500"]


def test_predictions_without_their_meta_file_are_still_read(tmp_path):
    write_predictions(tmp_path, predicted([0, 1], run="r"))
    meta_path(tmp_path, "v").unlink()
    assert read_predictions(tmp_path / "v.predictions.csv").meta == {}


def test_a_disk_that_fills_up_leaves_no_meta_file_that_calls_the_others_complete(
    tmp_path, monkeypatch
):
    write_predictions(tmp_path, predicted([0, 1], run="old"))
    old = (tmp_path / "v.predictions.csv").read_bytes()
    assert json.loads(meta_path(tmp_path, "v").read_text("utf-8"))["run"] == "old"

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(
        UserError, match=r"v\.predictions\.csv: cannot be written .No space left on device"
    ):
        write_predictions(tmp_path, predicted([1, 1, 1], run="new"))
    assert not meta_path(tmp_path, "v").exists()
    assert (tmp_path / "v.predictions.csv").read_bytes() == old


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (
            "Frame,Action\n0,1\n",
            "expected the columns frame,time_s,label,p_<class>..., found Frame, Action",
        ),
        ("frame,time_s,label,lick\n0,0,lick,1\n", "expected the columns"),
        (
            "frame,time_s,label,p_lick\n0,0,walk,1\n",
            "not a prediction .'walk'",
        ),
        ("frame,time_s,label,p_lick\n0,0,lick,high\n", "not a prediction"),
        ("frame,time_s,label,p_lick\n0,0,lick\n", "line 2: expected 4 cells"),
        (
            "frame,time_s,label,p_lick\n0,0,lick,1\n2,0.2,lick,1\n",
            "line 3: expected frame 1, found 2",
        ),
    ],
)
def test_a_file_that_holds_no_predictions_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "v.predictions.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("text", ["{", "", "[1]", "\udcff"])
def test_a_damaged_meta_file_is_a_users_error(tmp_path, text):
    write_predictions(tmp_path, predicted([0, 1]))
    meta_path(tmp_path, "v").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"v\.meta\.json: not"):
        read_predictions(tmp_path / "v.predictions.csv")


@pytest.mark.parametrize("entry", ['"fps": "fast"', '"classes": 6', '"fingerprint": []'])
def test_an_entry_of_a_meta_file_that_is_of_another_kind_is_named(tmp_path, entry):
    write_predictions(tmp_path, predicted([0, 1]))
    meta_path(tmp_path, "v").write_text("{" + entry + "}")
    with pytest.raises(UserError, match=entry.split('"')[1]):
        read_predictions(tmp_path / "v.predictions.csv")


def test_a_table_as_it_was_written_reads_like_one_that_passed_through_hands(tmp_path):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 50).astype(np.float32)
    labels = rng.integers(-1, 3, 50).astype(np.int16)
    written = Predictions("a", ("x", "y", "z"), labels, probabilities, np.arange(50) / 30, {})
    write_predictions(tmp_path, written)
    path = tmp_path / "a.predictions.csv"
    plain = read_predictions(path)
    path.write_text(path.read_text("utf-8").replace("\n", " \n"), "utf-8")  # white space
    touched = read_predictions(path)
    for name in ("labels", "probabilities", "time_s"):
        one, other = getattr(plain, name), getattr(touched, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
