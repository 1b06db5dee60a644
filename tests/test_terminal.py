"""What a person sees while a command works, in a terminal and in a notebook."""

from collections.abc import Iterator

import pytest

from dolorim import terminal


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A notebook in place of the terminal; the lines that it is shown."""
    said: list[str] = []
    monkeypatch.setattr(terminal.console, "is_jupyter", True)
    monkeypatch.setattr(terminal, "say", said.append)
    terminal._say_what_bars_need.cache_clear()
    yield said
    terminal._say_what_bars_need.cache_clear()


def test_without_ipywidgets_a_notebook_has_no_bars_and_says_once_why(
    notebook: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "find_spec", lambda name: None)
    for _ in range(3):
        with terminal.progress("training", 10) as bar:
            bar(1)
            bar.describe("still training")
    assert len(notebook) == 1
    assert "pip install ipywidgets" in notebook[0]


def test_with_ipywidgets_a_notebook_shows_bars(
    notebook: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "find_spec", lambda name: object())
    assert terminal.shows_progress()
    assert notebook == []


def test_quiet_means_no_bars_in_a_notebook_either(
    notebook: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "find_spec", lambda name: object())
    monkeypatch.setattr(terminal, "_quiet", True)
    assert not terminal.shows_progress()


def test_no_bar_is_drawn_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress("training", 10) as bar:
        bar(10)
    assert capsys.readouterr().err == ""
