"""What the verbs share: reading the command line, showing figures, naming what failed."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tyro
from pydantic import ValidationError

from dolorim.cli.settings import all_settings, settings_read_by
from dolorim.cli.short_help import page_of
from dolorim.core.errors import UserError
from dolorim.files.recordings import Recorded
from dolorim.files.structured import explain
from dolorim.files.targets import check_file, check_folder

if TYPE_CHECKING:
    from dolorim.inference.run_folder import RunFolder

T = TypeVar("T")
# Other names that people type for our flags, in every verb.
_OTHER_NAMES = {
    "--backbone_type": "--visual",
    "--img_size": "--image_size",
    "--window": "--train_T",
    "--fps": "--rate_hz",
    "--frame_rate": "--rate_hz",
}
_TASKS = ("action_only", "multitask")
_HELP = ("-h", "--help")
_HELP_ALL = ("--help_all", "--help-all")

# Flags that name a folder or a file to write.
_FOLDERS, _FILES = ("out", "cache"), ("json", "crops", "overlay")


def parse(kind: type[T], arguments: Sequence[str], program: str, default: T | None = None) -> T:
    """The command line as a `kind`, a dataclass whose fields are the flags.

    `--help` shows the options that people use, `--help_all` all of them. Raises `UserError` for a
    value that a setting cannot have and for a setting that the verb does not read.
    """
    # The short page is text that is ready, so that it appears at once.
    page = page_of(program)
    if page is not None and any(word in _HELP for word in arguments):
        print(page, end="")
        raise SystemExit(0)
    arguments = canonical(arguments)
    if any(word in _HELP_ALL for word in arguments):
        arguments = ["--help"]
    _refuse_unread_settings(arguments, kind, program)
    given: dict[str, Any] = {}
    if default is not None:
        given["default"] = default
    # What tyro prints is held back, because some of its errors are said better below.
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(
                kind,
                args=arguments,
                prog=program,
                config=(tyro.conf.OmitArgPrefixes,),
                use_underscores=True,
                **given,
            )
    except SystemExit as stopped:
        problem = _validation_error(stopped)
        if problem is not None:
            raise UserError(explain(problem)) from None
        print(printed.getvalue(), end="", file=sys.stderr)
        raise


def _validation_error(error: BaseException | None) -> ValidationError | None:
    """The error of a setting's value that made tyro stop, if that is why."""
    # tyro raises its own exception from it, or while handling it.
    while error is not None and not isinstance(error, ValidationError):
        error = error.__cause__ or error.__context__
    return error


def _refuse_unread_settings(arguments: Sequence[str], kind: type, program: str) -> None:
    unread = all_settings() - settings_read_by(kind)
    for word in arguments:
        name = word.removeprefix("--").removeprefix("no_")
        if word.startswith("--") and name in unread:
            raise UserError(
                f"{program} does not read {word}, which is a setting of other commands; "
                f"{program} --help_all lists what it reads"
            )


def check_targets(given: Any) -> None:
    """Raise `UserError`, before any work, where results cannot be written."""
    settings = getattr(given, "settings", {})
    for name in _FOLDERS:
        # Found out before hours of work, not after.
        path = getattr(given, name, None) or settings.get(name)
        if isinstance(path, Path):
            check_folder(path, f"--{name}")
    for name in _FILES:
        path = getattr(given, name, None)
        if isinstance(path, Path):
            check_file(path, f"--{name}")
    check_folder(getattr(getattr(given, "data", None), "cache", None), "--cache")


def with_usual(
    arguments: Sequence[str], flag: str, usual: str, is_value: Callable[[str], bool]
) -> list[str]:
    """The same command; a flag that was given without a value gets the usual one."""
    words = list(arguments)
    for i, word in enumerate(words):
        followed_by_value = any(is_value(following) for following in words[i + 1 : i + 2])
        if word == flag and not followed_by_value:
            words[i] = f"{flag}={usual}"
    return words


def canonical(arguments: Sequence[str]) -> list[str]:
    """The same command with our own names of flags, spelled with underscores, and values apart."""
    words: list[str] = []
    for argument in arguments:
        if argument.startswith("--"):
            # Only the flag is respelled; a value may contain hyphens.
            flag, *value = argument.split("=", 1)
            flag = "--" + flag.removeprefix("--").replace("-", "_")
            words += [_OTHER_NAMES.get(flag, flag), *value]
        else:
            words.append(argument)
    for i, word in enumerate(words[:-1]):
        # The scripts before this package called the tasks the type of the model.
        if word == "--model_type" and words[i + 1] in _TASKS:
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
    """Let waiting threads sleep, so that others can use the processor.

    Call this before torch loads, which reads the variable once.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def set_verbosity(quiet: bool, verbose: bool = False) -> None:
    """How much the command prints from here on."""
    from dolorim.terminal import be_quiet, be_verbose

    be_quiet(quiet)
    be_verbose(verbose)


@contextlib.contextmanager
def needing_extra(extra: str) -> Iterator[None]:
    """Imports of what is only there with an extra. Raises `UserError` where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is missing; install it with: pip install 'dolorim[{extra}]'"
        ) from None


def teller(browser: bool) -> Callable[[str], None]:
    """What tells a person where a page is served, and opens it in a `browser`."""

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if browser and line.startswith("open "):
            import webbrowser

            webbrowser.open(line.removeprefix("open "))

    return tell


def show_run(run: RunFolder) -> dict[str, Any]:
    """Show the figures of a run; returns them."""
    metrics: dict[str, Any] = run.read_json("metrics.json")
    show_metrics(run, metrics)
    return metrics


def show_metrics(run: RunFolder, metrics: dict[str, Any]) -> None:
    """Print tables of the figures and draw plots in the run folder."""
    from dolorim.metrics.trust_text import trust_sentences
    from dolorim.reporting.figures import draw_evaluation
    from dolorim.reporting.tables import metrics_table
    from dolorim.terminal import say, show

    # Tables first, then sentences: what is said last is what people read.
    ethogram = run.read_ethogram()
    for part, figures in metrics.items():
        show(metrics_table(part, figures, ethogram.indicator))
        draw_evaluation(figures, run.predictions(part), ethogram, run.figures, part)
    for sentence in trust_sentences(metrics, ethogram.indicator, ethogram.background):
        say(sentence)
    say(f"run: {run.path} (figures in {run.figures})")


def report_failures(failures: Sequence[tuple[Recorded, str]], what: str = "failed") -> int:
    """Print each recording with its reason; returns the exit code."""
    for file, reason in failures:
        if str(file) not in reason:
            reason = f"{file}: {reason}"
        print(f"{what}: {reason}", file=sys.stderr)
    return int(bool(failures))
