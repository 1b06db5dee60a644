"""The command line: one module per verb, each with `run(arguments) -> exit code`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dolorim import __version__
from dolorim.core.errors import FinishedElsewhere, UserError

VERBS = {
    "demo": "try everything without data: simulate a study, train, evaluate, predict; one page",
    "studio": "the whole job in the browser, from videos to a report:  dolorim studio [FOLDER]",
    "check": "check a study before training: what fits together, what does not, and what to do",
    "inspect": "show what is in a video, label file or pose file, on one screen",
    "extract": "decode a study once into the frame cache that training reads",
    "pretrain": "learn an encoder from videos without labels:  dolorim pretrain VIDEO... --out DIR",
    "train": "learn behaviors:  dolorim train video --videos DIR --annotations DIR --run RUN",
    "evaluate": "score a run on its held-out animals or on another study",
    "agree": "compare two raters, and a model with both:  dolorim agree RATER_A RATER_B [RUN]",
    "predict": "label new videos:  dolorim predict RUN VIDEO...",
    "watch": "label a camera live, with events for other programs:  dolorim watch RUN --camera 0",
    "review": "watch, correct and save labels in the browser:  dolorim review PREDICTIONS",
    "report": "read-outs and group statistics:  dolorim report PREDICTIONS --groups groups.csv",
    "export": "write predictions for BORIS, DeepEthogram, SimBA, or as bouts or NWB",
    "export-model": "a network for other programs:  dolorim export-model RUN --to onnx",
    "share": "a run as one file for somebody else:  dolorim share RUN --out run.zip",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 some inputs failed, 2 the user has to change something, 130 stopped by Ctrl-C.
    """
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
    except BrokenPipeError:
        # The reader of the output has stopped, as in `dolorim inspect X | head`.
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
    # As in the names of flags, a hyphen and an underscore mean the same.
    verb, rest = arguments[0].replace("_", "-"), arguments[1:]
    if verb not in VERBS:
        raise UserError(f"there is no verb {verb!r}; there are {', '.join(VERBS)}")
    return int(import_module(f"dolorim.cli.{verb.replace('-', '_')}").run(rest))


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"dolorim {__version__}: pain behaviors of mice, frame by frame, from video", ""]
    lines += ["usage: dolorim VERB ...", ""]
    lines += [f"  {verb:{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join([*lines, "", "dolorim VERB --help explains a verb.", ""])
