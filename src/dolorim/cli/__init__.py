"""The command line: one module a verb, each with `run(arguments) -> exit code`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dolorim import __version__
from dolorim.core.errors import FinishedElsewhere, UserError

VERBS = {
    "demo": "no data needed: simulate a small study, train, evaluate, predict, and show it on one page",
    "check": "preflight of a project: what fits together, what does not, and what to do about it",
    "inspect": "what is in this video, label file or pose file, in one screen",
    "extract": "decode a project once into the frame cache that training reads",
    "train": "learn a lab's behaviors:  dolorim train video --videos Videos --annotations Annotations --run RUN",
    "evaluate": "score a run on its held-out animals, or on another project",
    "agree": "two raters, and a model with both:  dolorim agree RATER_A RATER_B [RUN]",
    "predict": "label new videos:  dolorim predict RUN VIDEO...",
    "review": "watch, correct and save labels in the browser:  dolorim review PREDICTIONS",
    "report": "read-outs and statistics between groups:  dolorim report PREDICTIONS --groups groups.csv",
    "export": "write predictions for BORIS, DeepEthogram, SimBA, or as bouts or NWB",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 some inputs failed, 2 the user must act, 130 stopped."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except FinishedElsewhere:
        return 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads has had enough, as in `dolorim inspect X | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(__version__)
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        raise UserError(f"there is no verb {verb!r}; there are {', '.join(VERBS)}")
    return int(import_module(f"dolorim.cli.{verb}").run(rest))


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"dolorim {__version__}: pain behaviors of mice, frame by frame, from video", ""]
    lines += ["usage: dolorim VERB ...", ""]
    lines += [f"  {verb:{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join([*lines, "", "dolorim VERB --help tells all about one of them.", ""])
