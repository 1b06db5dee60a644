"""Files of a report for other programs: Prism, Excel, and whatever reads JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook

from dolorim.reporting.assays import read_assay
from dolorim.reporting.families import Question
from dolorim.reporting.machine_files import COLUMNS, write_data_package, write_report_json
from dolorim.reporting.methods import methods, references
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.readouts import collect, write_tidy
from dolorim.reporting.reproduce import write_reproduce
from dolorim.reporting.statistics import compare
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.wide_tables import wide_tables, write_wide_tables

GROUPS = ("vehicle", "=drug")
SETTINGS = {"assay": {"windows": ({"name": "whole", "stop_s": float("inf")},)}}


@pytest.fixture(scope="module")
def results() -> StudyResults:
    """Four animals per group, of one minute; those of the drug lick from 10 s on for 5 to 8 s.

    Animal v3 never licks, so its latency is censored.
    """
    recordings = []
    for group, letter, factor in ((GROUPS[0], "v", 1), (GROUPS[1], "d", 5)):
        for i in range(4):
            lick_s = (3 - i) * factor if letter == "v" else factor + i
            edges = np.array([0.0, 10.0, 10.0 + lick_s, 60.0])
            kept = np.diff(edges) > 0
            recordings.append(
                ObservedRecording(
                    f"{letter}{i}.mp4",
                    f"{letter}{i}",
                    group,
                    edges[:-1][kept],
                    edges[1:][kept],
                    np.array([0, 1, 0])[kept],
                    60.0,
                )
            )
    study = Observations(("rest", "lick"), GROUPS, tuple(recordings))
    assay = read_assay("whole")
    tables = collect(study, assay)
    question = Question("lick", "time_percent", assay.primary)
    tables["statistics"] = compare(tables["animals"], GROUPS, question=question)
    return StudyResults(study, assay, tables, ["lick"], [])


def test_prism_gets_a_column_per_group_and_a_row_per_animal(
    results: StudyResults, tmp_path: Path
) -> None:
    tables = wide_tables(results)
    write_wide_tables(tmp_path, tables)
    wide = pd.read_csv(tmp_path / "prism/lick_whole_time_s.csv")
    assert list(wide.columns) == ["animal", "vehicle", "'=drug"]  # no spreadsheet runs it
    assert wide.vehicle.dropna().to_list() == [3, 2, 1, 0]
    assert wide["'=drug"].dropna().to_list() == [5, 6, 7, 8]
    assert len(wide) == 8
    survival = pd.read_csv(tmp_path / "prism/lick_whole_latency_s.csv").set_index("animal")
    assert survival.loc["v0", ["latency_s", "vehicle"]].to_list() == [10, 1]
    assert survival.loc["v3", ["latency_s", "vehicle"]].to_list() == [60, 0]  # censored
    book = load_workbook(tmp_path / "readouts.xlsx")
    assert len(book.sheetnames) == len(tables) + 1
    listed = [row[-1] for row in book["contents"].iter_rows(min_row=2, values_only=True)]
    assert all((tmp_path / str(file)).exists() for file in listed)
    first = book[book.sheetnames[1]]
    assert first.cell(1, 3).value == "=drug"
    assert first.cell(1, 3).data_type == "s"  # text, not a formula


def test_every_column_of_every_table_is_described_and_holds_its_type(
    results: StudyResults, tmp_path: Path
) -> None:
    for name, table in results.tables.items():
        write_tidy(tmp_path / f"{name}.csv", table)
    write_data_package(tmp_path, results.tables)
    package = json.loads((tmp_path / "datapackage.json").read_text("utf-8"))
    parse = {"number": float, "integer": int, "string": str}
    parse["boolean"] = {"True": True, "False": False}.__getitem__
    for resource in package["resources"]:
        table = pd.read_csv(tmp_path / resource["path"], dtype=str, keep_default_na=False)
        fields = resource["schema"]["fields"]
        assert list(table.columns) == [field["name"] for field in fields]
        for field in fields:
            assert field["name"] in COLUMNS
            for text in table[field["name"]].unique():
                if text:
                    parse[field["type"]](text)


def test_report_json_has_every_test_with_its_interval(
    results: StudyResults, tmp_path: Path
) -> None:
    write_report_json(tmp_path / "report.json", results, ["One sentence."], None, SETTINGS)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["sentences"] == ["One sentence."]
    assert report["settings"]["assay"]["windows"][0]["stop_s"] is None  # it has no end
    assert len(report["tables"]["statistics"]) == len(results.tables["statistics"])
    rows = report["tables"]["statistics"]
    [row] = [r for r in rows if (r["behavior"], r["readout"]) == ("lick", "time_percent")][:1]
    assert row["difference"] == pytest.approx(100 * (6.5 - 1.5) / 60)
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert row["hazard_ratio"] is None


def test_a_report_tells_its_inputs_by_hash_and_the_command_that_repeats_it(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.csv").write_text("x\n")
    (tmp_path / "labels/a.mp4").write_text("a video is large, and its labels are what counts")
    out = tmp_path / "labels/out"
    settings = {"predictions": tmp_path / "labels", "out": out, "pain": ("lick", "paw shake")}
    write_reproduce(out, settings)
    words = (out / "reproduce/command.txt").read_text("utf-8")
    assert words.startswith(f"dolorim report {tmp_path / 'labels'} --out {out}")
    assert words.endswith("--pain lick 'paw shake'\n")
    inputs = json.loads((out / "reproduce/inputs.json").read_text("utf-8"))["sha256"]
    assert inputs == {
        str(tmp_path / "labels/a.csv"): (
            "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"
        )
    }
    assert "numpy==" in (out / "reproduce/versions.txt").read_text("utf-8")


@pytest.mark.parametrize("correction", ["holm", "fdr"])
def test_every_work_that_the_methods_text_cites_is_in_its_references(
    results: StudyResults, correction: str
) -> None:
    text = methods(results.observations, results.assay, {"correction": correction})
    cited = re.findall(r"[A-Z][a-z]+(?: & [A-Z][a-z]+)? (?:19|20)\d\d", text)
    listed = references(text)
    assert len(cited) == len(listed) > 4
    assert all(any(work in entry for entry in listed) for work in cited)
