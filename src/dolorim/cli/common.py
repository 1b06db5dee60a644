"""What the verbs share: reading the command line, showing figures, naming what failed."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tyro
from pydantic import ValidationError

from dolorim.cli.short_help import page_of
from dolorim.config import explain
from dolorim.core.errors import UserError
from dolorim.files.targets import check_file, check_folder

if TYPE_CHECKING:
    from dolorim.inference.run_folder import RunFolder

T = TypeVar("T")
# What people type for a flag of ours, in every verb.
_OTHER_WORDS = {
    "--backbone_type": "--visual",
    "--img_size": "--image_size",
    "--window": "--train_T",
    "--fps": "--rate_hz",
    "--frame_rate": "--rate_hz",
}
_HELP = ("-h", "--help")
_HELP_ALL = ("--help_all", "--help-all")


def parse(kind: type[T], arguments: Sequence[str], program: str, default: T | None = None) -> T:
    """The command line as a `kind`. `--help` shows the options that people use, `--help_all` all of them."""
    if any(word in _HELP for word in arguments) and (page := page_of(program)) is not None:
        print(page, end="")
        raise SystemExit(0)
    arguments = ["--help" if word in _HELP_ALL else word for word in in_our_words(arguments)]
    given: dict[str, Any] = {} if default is None else {"default": default}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind,
                args=arguments,
                prog=program,
                config=(tyro.conf.OmitArgPrefixes,),
                use_underscores=True,
                **given,
            )
    except SystemExit as stopped:
        problem: BaseException | None = stopped
        while problem is not None and not isinstance(problem, ValidationError):
            problem = problem.__cause__ or problem.__context__
        if problem is not None:
            raise UserError(explain(problem)) from None
        print(said.getvalue(), end="", file=sys.stderr)
        raise


_FOLDERS, _FILES = ("out", "cache"), ("json", "crops", "overlay")


def check_targets(given: Any) -> None:
    """Before any work is done: can the results be written where a command is told to put them? Raises `UserError`."""
    for name in _FOLDERS:
        if isinstance(path := getattr(given, name, None), Path):
            check_folder(path, f"--{name}")
    for name in _FILES:
        if isinstance(path := getattr(given, name, None), Path):
            check_file(path, f"--{name}")
    check_folder(getattr(getattr(given, "data", None), "cache", None), "--cache")


def with_usual(
    arguments: Sequence[str], flag: str, usual: str, is_value: Callable[[str], bool]
) -> list[str]:
    """The same command with the usual value behind a flag that was given without one."""
    words = list(arguments)
    for i, word in enumerate(words):
        if word == flag and not (i + 1 < len(words) and is_value(words[i + 1])):
            words[i] = f"{flag}={usual}"
    return words


def in_our_words(arguments: Sequence[str]) -> list[str]:
    """The same command with flags that users know by other names under ours."""
    words = [
        word
        for argument in arguments
        for word in (argument.split("=", 1) if argument[:2] == "--" else [argument])
    ]
    words = ["--" + w[2:].replace("-", "_") if w[:2] == "--" else w for w in words]
    for i, word in enumerate(words):
        words[i] = _OTHER_WORDS.get(word, word)
        if (
            word == "--model_type"
            and i + 1 < len(words)
            and words[i + 1] in ("action_only", "multitask")
        ):
            words[i] = "--tasks"
    return words


def value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The value of a flag that has to be known before the others can be read."""
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word == flag:
            return following
        if word.startswith(flag + "="):
            return word.split("=", 1)[1]
    return None


def wait_politely() -> None:
    """Let threads that wait for each other sleep and leave the processor to others. To be called before torch loads."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def settle(quiet: bool, verbose: bool = False) -> None:
    """How much the command says from here on."""
    from dolorim.terminal import be_quiet, be_verbose

    be_quiet(quiet)
    be_verbose(verbose)


def show_run(run: RunFolder) -> dict[str, Any]:
    metrics = run.read_json("metrics.json")
    show_metrics(run, metrics)
    return metrics


def show_metrics(run: RunFolder, metrics: dict[str, Any]) -> None:
    """Tables on the terminal, figures in the run folder."""
    from dolorim.metrics.trust_text import trust_sentences
    from dolorim.reporting.figures import draw_evaluation
    from dolorim.reporting.tables import metrics_table
    from dolorim.terminal import say, show

    ethogram = run.read_ethogram()
    for part, found in metrics.items():
        show(metrics_table(part, found, ethogram.indicator))
        draw_evaluation(found, run.predictions(part), ethogram, run.figures, part)
    for sentence in trust_sentences(metrics, ethogram.indicator, ethogram.background):
        say(sentence)
    say(f"run: {run.path} (figures in {run.figures})")


def report_failures(failures: Sequence[tuple[Path, str]], what: str = "failed") -> int:
    for video, reason in failures:
        text = reason if str(video) in reason else f"{video}: {reason}"
        print(f"{what}: {text}", file=sys.stderr)
    return 1 if failures else 0
