"""The tutorial runs from the first cell to the last."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"

# In place of the page's numbers, and no worker processes: each would import everything once more.
QUICK = {
    "trial_length=120": "trial_length=60",
    "epochs=6": "epochs=1",
    "import dolorim as dl\n": (
        "import os\nimport dolorim as dl\nos.sched_getaffinity = lambda process: {0}\n"
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook libraries
def test_the_tutorial_runs_and_ends_with_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    # The kernel is a process of its own: it takes the source and the settings from its environment.
    monkeypatch.setenv("PYTHONPATH", str(TUTORIAL.parents[1] / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("DOLORIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(TUTORIAL, as_version=4)
    for cell in notebook.cells:
        for written, quick in QUICK.items():
            cell.source = cell.source.replace(written, quick)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert (tmp_path / "tutorial" / "report" / "report.html").is_file()
    assert list((tmp_path / "tutorial" / "labels").glob("*.predictions.csv"))


def test_the_tutorial_is_stored_without_output() -> None:
    notebook = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells if cell.cell_type == "code")
