"""What a script or a notebook does with `import dolorim as dl`."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dolorim as dl
from dolorim.cli import main
from dolorim.video.reader import read_frames


def test_importing_dolorim_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, time; since = time.process_time(); import dolorim as dl; dir(dl); "
        "spent = time.process_time() - since; assert spent < 0.3, spent; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "use", ["dl.check", "dl.report", "dl.read_labels", "dl.read_poses", "dl.load_run"]
)
def test_what_needs_no_network_is_there_without_torch(use: str) -> None:
    code = f"import sys; import dolorim as dl; {use}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_prediction_has_a_row_per_frame_and_saves_the_files_of_the_command_line(
    trained: Path, study: Path, tmp_path: Path
) -> None:
    video = sorted((study / "Videos").iterdir())[0]
    run = dl.load_run(trained)
    prediction = run.predict(video)
    assert run.classes == prediction.classes
    assert list(prediction.frames.columns) == [
        "frame",
        "time_s",
        "label",
        *(f"p_{c}" for c in run.classes),
    ]
    assert len(prediction.frames) == 180
    shares = prediction.frames[[f"p_{c}" for c in run.classes]].sum(axis=1)
    np.testing.assert_allclose(shares, 1, atol=1e-3)
    assert prediction.bouts.stop_s.iloc[-1] == pytest.approx(6.0)

    assert (
        main(["predict", str(trained), str(video), "--out", str(tmp_path / "cli"), "--quiet"]) == 0
    )
    prediction.save(tmp_path / "api")
    written = {path.name for path in (tmp_path / "api").iterdir()}
    assert written == {
        f"{video.stem}.{kind}" for kind in ("predictions.csv", "bouts.csv", "meta.json")
    }
    for name in written - {f"{video.stem}.meta.json"}:
        assert (tmp_path / "api" / name).read_bytes() == (tmp_path / "cli" / name).read_bytes()


def test_an_array_of_frames_gets_the_labels_of_the_video_it_comes_from(
    trained: Path, study: Path
) -> None:
    video = sorted((study / "Videos").iterdir())[0]
    frames = read_frames(video, range(180))
    run = dl.load_run(trained)
    from_array = run.predict(frames, rate_hz=30, name="array")
    assert from_array.name == "array"
    pd.testing.assert_series_equal(from_array.frames.label, run.predict(video).frames.label)
    with pytest.raises(dl.DolorimError, match="rate_hz"):
        run.predict(frames)
    with pytest.raises(dl.DolorimError, match="uint8"):
        run.predict(frames.astype(float), rate_hz=30)


def test_a_plot_has_a_row_per_class(trained: Path, study: Path) -> None:
    prediction = dl.load_run(trained).predict(sorted((study / "Videos").iterdir())[0])
    axes = prediction.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(prediction.classes)


def test_labels_are_read_with_the_times_of_their_video(study: Path) -> None:
    video = sorted((study / "Videos").iterdir())[0]
    labels = [p for p in sorted((study / "Annotations").iterdir()) if video.stem in p.name]
    table = dl.read_labels(labels[1], video, trial_length=90)
    assert list(table.columns) == ["frame", "time_s", "label"]
    assert len(table) == 180
    assert table.label[:90].isna().all()  # the second trial begins at frame 90
    assert table.time_s.iloc[90] == pytest.approx(3.0)
    both = dl.read_labels(study / "Annotations", video, trial_length=90)
    assert both.label[90:].equals(table.label[90:])


def test_poses_become_a_dataset_with_the_dimensions_of_movement(study: Path) -> None:
    pytest.importorskip("xarray")
    poses = dl.read_poses(sorted((study / "DLC").glob("*.csv"))[0])
    data = poses.to_xarray(rate_hz=30)
    assert data.position.dims == ("time", "space", "keypoints", "individuals")
    assert data.confidence.dims == ("time", "keypoints", "individuals")
    assert list(data.space.values) == ["x", "y"]
    mouth = data.position.sel(keypoints="mouth", space="x").values[:, 0]
    np.testing.assert_array_equal(mouth, poses[0].points[:, poses[0].names.index("mouth"), 0])
    assert data.time.values[30] == pytest.approx(1.0)


def test_a_run_is_trained_and_scored_from_python(study: Path, tmp_path: Path) -> None:
    small = {
        "image_size": 32,
        "clip_length": 8,
        "batch_size": 8,
        "accelerator": "cpu",
        "trial_length": 90,
    }
    run = dl.train(
        "video", videos=study / "Videos", annotations=study / "Annotations", run=tmp_path / "run",
        cache=tmp_path / "cache", epochs=1, **small,
    )  # fmt: skip
    assert run.config.train.epochs == 1
    assert set(dl.evaluate(run)) == set(run.metrics) == {"val", "test"}
    assert "macro-F1" in run.card


def test_a_report_is_written_from_python_and_never_over_the_tables_of_a_lab(
    trained: Path, study: Path, tmp_path: Path
) -> None:
    run = dl.load_run(trained)
    rows = ["file,animal,group"]
    for number, video in enumerate(sorted((study / "Videos").iterdir())[:2]):
        run.predict(video).save(tmp_path / "labels")
        rows.append(f"{video.name},{number},{'treated' if number else 'control'}")
    groups = tmp_path / "groups.csv"
    groups.write_text("\n".join(rows) + "\n", "utf-8")
    written = dl.report(tmp_path / "labels", groups=groups, out=tmp_path / "report")
    assert written.page.exists()
    assert written.sentences
    dl.report(
        tmp_path / "labels", groups=groups, out=tmp_path / "report"
    )  # its own tables are replaced

    own = tmp_path / "own"
    own.mkdir()
    (own / "recordings.csv").write_text("video,animal\nm1,1\n", "utf-8")
    with pytest.raises(dl.DolorimError, match=r"already holds recordings\.csv"):
        dl.report(tmp_path / "labels", groups=groups, out=own)
    assert (own / "recordings.csv").read_text("utf-8") == "video,animal\nm1,1\n"
    # A lab's table that came into the folder of an earlier report is not replaced either.
    shutil.copy(groups, tmp_path / "report")
    with pytest.raises(dl.DolorimError, match=r"already holds groups\.csv"):
        dl.report(tmp_path / "labels", groups=groups, out=tmp_path / "report")
    assert (tmp_path / "report" / "groups.csv").read_bytes() == groups.read_bytes()
    with pytest.raises(dl.DolorimError, match="no setting 'essay'"):
        dl.report(tmp_path / "labels", groups=groups, out=own, essay="formalin")


def test_what_a_user_can_mend_is_one_line_and_an_exception(tmp_path: Path) -> None:
    with pytest.raises(dl.DolorimError, match="not a run folder"):
        dl.load_run(tmp_path)
    with pytest.raises(dl.DolorimError, match="did you mean epochs"):
        dl.train("video", run=tmp_path / "run", epoch=3)
    with pytest.raises(dl.DolorimError, match="there is no approach 'audio'"):
        dl.train("audio", run=tmp_path / "run")
    with pytest.raises(dl.DolorimError, match="epochs"):
        dl.train("video", run=tmp_path / "run", epochs=-1)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = dl.nonsense


def test_a_script_that_is_not_guarded_runs_once_although_workers_are_started(
    study: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import dolorim as dl\n"
        "print('begins')\n"
        f"checked = dl.check({str(study)!r}, trial_length=90, workers=2)\n"
        "assert all(f.name != 'crash' for f in checked.findings), checked.findings\n"
        "print(len(checked.rows), 'recordings,', __file__.endswith('script.py'))\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["begins", "5 recordings, True"]


def test_a_batch_is_labelled_from_python_and_unknown_settings_are_refused(
    trained: Path, study: Path, tmp_path: Path
) -> None:
    run = dl.load_run(trained)
    videos = sorted((study / "Videos").iterdir())[:2]
    batch = run.predict_all(videos, tmp_path / "labels")
    assert (batch.done, batch.failed) == (videos, [])
    assert (tmp_path / "labels" / "to_check.csv").exists()
    again = dl.predict(trained, videos[0], out=tmp_path / "labels", overwrite=False)
    assert again.skipped == videos[:1]
    with pytest.raises(dl.DolorimError, match="no setting 'overlays'"):
        dl.predict(trained, videos[0], out=tmp_path / "labels", overlays=True)
    with pytest.raises(dl.DolorimError, match="none is named"):
        dl.evaluate(trained, label_gaps="rest")
