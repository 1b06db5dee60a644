"""What `dolorim VERB --help` shows: the options that people use, in groups, with examples.

`--help_all` shows every option, as the settings' own docstrings explain them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dolorim.labels.ethogram import PAIN

Options: TypeAlias = dict[str, str]
WIDTH = 28  # columns of the left side


@dataclass(frozen=True)
class ShortHelp:
    """The first page of help of one command: options by group, from `--flag VALUE` to what it
    does.
    """

    usage: str
    summary: str
    groups: dict[str, Options]
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _built_in_ethogram() -> str:
    """The classes that count without a table of the lab's own, as one paragraph."""
    behaviors = ", ".join(f"{raw.id} {raw.name}" for raw in PAIN.raw)
    return (
        f"Without classes.csv or ethogram.toml the behaviors are {behaviors}.\n"
        f"By default, {PAIN.merging_note()}."
    )


_STUDY_FILES = {
    "--videos DIR": "folder with the videos",
    "--annotations DIR": "folder with the label files (our own, BORIS, DeepEthogram, SimBA, ...)",
    "--corrections DIR": "folder of a rater in the labeling room, whose labels come first",
    "--dlc DIR": "folder with pose files of DeepLabCut, Lightning Pose or SLEAP",
    "--recordings FILE": "table video,animal[,group...] that says which animal each video shows",
    "--chambers 2x4": "several animals in one video: a grid of 2 rows of 4, auto, or a table",
    "--classes FILE": "your own behaviors: id,name[,merged]",
}
_SPLIT = {
    "--val_animals a,b": "animals that choose the best epoch (without it, drawn: 20 %)",
    "--test_animals a,b": "animals that are scored once, at the end (without it, drawn: 20 %)",
    "--folds N": "score all animals instead, each by a network that has not seen it",
}
_LEARNING = {
    "--epochs N": "passes over the training animals (30)",
    "--max_minutes M": "end training early, at a good place",
    "--seed N": "another random start",
    "--dry_run": "print the resolved settings and stop",
}


def _train(approach: str, files: Options, extra: Options, examples: tuple[str, ...]) -> ShortHelp:
    return ShortHelp(
        f"dolorim train {approach} --videos DIR --annotations DIR --run DIR [OPTIONS]",
        "Learn behaviors from labeled videos. An interrupted run continues with the same command.",
        {
            "your files": {**files, "--run DIR": "folder that the run is written to"},
            "who is learned from, who is scored": _SPLIT,
            "learning": {**_LEARNING, **extra},
        },
        examples,
        (_built_in_ethogram(),),
    )


_EXAMPLE = "--videos study/Videos --annotations study/Annotations"
_VIDEO_FILES = {k: v for k, v in _STUDY_FILES.items() if not k.startswith("--dlc")}
_CLIP = {
    "--clip_length N": "frames that one decision sees (16); --clip_s S gives it in seconds",
    "--run_rate_hz N": "frames per second that the network sees (the study's middle rate)",
    "--visual motion_features": "no convolutions, for very few bouts per behavior",
    "--body_length_px X": "length of a stretched animal, if one camera took all videos",
}

HELP = {
    "dolorim train": ShortHelp(
        "dolorim train video|multimodal|multitask --videos DIR --annotations DIR --run DIR",
        "Learn behaviors from labeled videos.",
        {
            "approaches": {
                "video": "crops that follow the animal, through a 3D CNN; no poses needed",
                "multimodal": "video and pose together, or poses alone (--visual none)",
                "multitask": "video and pose over longer times; learns keypoints too",
            }
        },
        (f"dolorim train video {_EXAMPLE} --run runs/first", "dolorim train video --help"),
        (_built_in_ethogram(),),
    ),
    "dolorim train video": _train(
        "video",
        _VIDEO_FILES,
        _CLIP,
        (
            f"dolorim train video {_EXAMPLE} --run runs/first",
            f"dolorim train video {_EXAMPLE} --run runs/cv --folds 5",
        ),
    ),
    "dolorim train multimodal": _train(
        "multimodal",
        _STUDY_FILES,
        {**_CLIP, "--visual none": "learn from the poses alone"},
        (f"dolorim train multimodal {_EXAMPLE} --dlc study/DLC --run runs/pose",),
    ),
    "dolorim train multitask": _train(
        "multitask",
        _STUDY_FILES,
        {
            "--visual vit_2d": "look through a pretrained network (or videomae2_3d, vjepa2_3d)",
            "--pose none": "without poses; needs --tasks action_only as well",
        },
        (
            f"dolorim train multitask {_EXAMPLE} --dlc study/DLC --run runs/multi",
            f"dolorim train multitask {_EXAMPLE} --pose none --tasks action_only --run runs/multi",
        ),
    ),
    "dolorim pretrain": ShortHelp(
        "dolorim pretrain VIDEO... --out DIR [OPTIONS]",
        "Learn an encoder from videos without labels, for `dolorim train --encoder DIR`.\n"
        "VIDEO is a video or a folder of videos. An interrupted training continues with the same "
        "command.",
        {
            "files": {
                "--out DIR": "folder for the encoder (encoder.safetensors and encoder.json)",
                "--continue_from DIR": "start from another encoder",
            },
            "learning": {
                "--steps N": "training steps (250: minutes on two cores)",
                "--seed N": "another random start",
            },
            "pictures": {
                "--body_length_px X": "length of a stretched animal, if one camera took all videos",
                "--mask x0,y0,x1,y1": "a region to blank, such as a clock",
            },
        },
        (
            "dolorim pretrain videos --out encoder",
            "dolorim pretrain more_videos --continue_from encoder --out encoder2",
        ),
    ),
    "dolorim check": ShortHelp(
        "dolorim check STUDY [OPTIONS]",
        "Look at every video, label file and pose file before anything is learned from them.\n"
        "Exit code: 0 fine, 1 there are warnings, 2 there are errors.",
        {
            "what is shown": {
                "--all": "every recording and every finding, instead of counting like ones",
                "--json FILE": "write everything as JSON (- prints it)",
                "--strict": "count warnings as errors",
                "--quiet": "print no tables",
            },
            "where files are, if not in STUDY": _STUDY_FILES,
            "how files are read": {
                "--trial_layout LAYOUT": "fixed or cumulative, where that is in doubt",
                "--label_gaps rest": "class of the frames that lists of bouts leave open",
                "--individual NAME": "which animal of a pose file with several",
            },
        },
        ("dolorim check study", "dolorim check study --json check.json"),
        (_built_in_ethogram(),),
    ),
    "dolorim predict": ShortHelp(
        "dolorim predict RUN VIDEO... [OPTIONS]",
        "Label new videos, frame by frame. VIDEO is a video or a folder of videos.",
        {
            "files": {
                "--out DIR": "folder for the results (without it, RUN/predictions/new)",
                "--dlc DIR": "folder with pose files, for a run that has learned from poses",
                "--chambers 2x4": "several animals in one video: a grid of 2 rows of 4, auto, or "
                "a table",
                "--no_overwrite": "skip videos that are done, to continue a stopped batch",
            },
            "results": {
                "--overlay": "also write a copy of each video with its labels on it",
                "--abstain 0.1": "leave frames open that could be of another class",
                "--keypoints": "also write keypoints (runs of train multitask)",
            },
            "speed": {
                "--jobs N": "processes that share the work",
                "--profile": "say where time went",
            },
        },
        (
            "dolorim predict runs/first new_videos --out labels --overlay",
            "dolorim predict runs/first new_videos --out labels --no_overwrite",
        ),
    ),
    "dolorim evaluate": ShortHelp(
        "dolorim evaluate RUN [STUDY]   or   dolorim evaluate RUN RUN [STUDY]",
        "Score a run on its own held-out animals or on another study, or compare two runs.",
        {
            "options": {
                "--json FILE": "also write the figures to this file",
                "--seen_animals_too": "score animals that the run has learned from too",
            },
            "another study": {
                key: text for key, text in _STUDY_FILES.items() if not key.startswith("--classes")
            },
        },
        (
            "dolorim evaluate runs/first",
            "dolorim evaluate runs/first another_study",
            "dolorim evaluate runs/first runs/second",
        ),
    ),
    "dolorim report": ShortHelp(
        "dolorim report LABELS --groups FILE [OPTIONS]",
        "Read-outs, statistics between groups and figures on one page, from predictions or label "
        "files.",
        {
            "what is compared": {
                "--groups FILE": "table file,animal,group[,treated_side][,...]",
                "--control NAME": "the group that others are compared with",
                "--assay NAME": "formalin, von_frey, acetone, hargreaves, cfa, ... or a .toml",
                "--pain a,b": "the pain behaviors, the most telling first",
                "--within day": "several sessions of each animal, told apart by this column",
                "--second_factor sex": "a second factor between animals",
            },
            "how far labels can be trusted": {
                "--run RUN": "the run that made the predictions; its errors are taken into account"
            },
            "files": {
                "--out DIR": "folder for page, tables and figures (dolorim-report)",
                "--videos DIR": "the videos of label files, whose timestamps then count",
                "--label_gaps rest": "the class of frames that label files leave out",
                "--rate_hz N": "frames per second, where neither label files nor videos tell",
            },
        },
        (
            "dolorim report labels --groups groups.csv --assay formalin --run runs/first --out "
            "report",
        ),
    ),
    "dolorim review": ShortHelp(
        "dolorim review FOLDER [OPTIONS]",
        "Watch, correct and save labels in the browser. Nothing leaves this computer.\n"
        "FOLDER holds predictions, a study, or videos.",
        {
            "who and what": {
                "--rater NAME": "who is correcting (without it, your user name)",
                "--blinded": "hide names, groups and earlier labels; shuffle the recordings",
                "--predictions DIR": "for a study: predictions of its videos",
                "--out DIR": "folder for the corrections (FOLDER/review)",
                "--videos DIR": "where the videos are, if they were moved",
                "--dlc DIR": "where the pose files are",
                "--classes FILE": "your own behaviors: id,name[,merged]",
            },
            "server": {
                "--port N": "port to listen on (8719)",
                "--no_browser": "do not open a browser",
            },
        },
        ("dolorim review labels", "dolorim review study --rater ann --blinded"),
    ),
    "dolorim studio": ShortHelp(
        "dolorim studio [FOLDER] [OPTIONS]",
        "The whole job in the browser: check a study, label, learn, predict, report, export.\n"
        "FOLDER holds videos, or Videos/; without it, the current folder. Nothing leaves this "
        "computer.\nEverything that the studio makes lies in FOLDER/dolorim.",
        {
            "options": {
                "--rater NAME": "who is labeling (without it, your user name)",
                "--port N": "port to listen on (8719)",
                "--no_browser": "do not open a browser",
            }
        },
        ("dolorim studio study", "dolorim studio new_videos --rater ann"),
    ),
    "dolorim inspect": ShortHelp(
        "dolorim inspect FILE [OPTIONS]",
        "What is in a video, a label file or a pose file, on one screen.",
        {
            "options": {
                "--crops FILE.png": "for a video: draw what the network would see",
                "--chambers 2x4": "several animals in one video: a grid of 2 rows of 4, auto, or "
                "a table",
                "--overlay FILE.png": "for a video: draw its pose on a few frames",
                "--dlc PATH": "pose file of the video, or the folder it is in",
                "--classes FILE": "for a label file: your own behaviors",
                "--json": "print the findings as JSON",
            }
        },
        ("dolorim inspect cage_267M.mp4 --crops crops.png",),
    ),
    "dolorim extract": ShortHelp(
        "dolorim extract STUDY [OPTIONS]",
        "Decode every video once into the frame cache that training reads. `train` does it by "
        "itself.",
        {
            "options": {
                "--approach NAME": "whose pictures: video, multimodal or multitask",
                "--features": "also compute the features of a pretrained network once",
                "--cache DIR": "folder of the frame cache",
                "--workers N": "videos that are decoded side by side",
            }
        },
        (
            "dolorim extract study",
            "dolorim extract study --approach multitask",
            "dolorim extract study --features --head linear",
        ),
    ),
}


def page_of(command: str) -> str | None:
    """The first page of help of `dolorim VERB [APPROACH]`; None where every option fits on one
    page anyway.
    """
    if command not in HELP:
        return None
    page = HELP[command]
    lines = [f"usage: {page.usage}", "", page.summary]
    for title, options in page.groups.items():
        lines += ["", f"{title}:"]
        lines += [f"  {flag:{WIDTH - 2}}{text}" for flag, text in options.items()]
    if page.examples:
        lines += ["", "examples:", *(f"  {example}" for example in page.examples)]
    for note in page.notes:
        lines += ["", note]
    if command != "dolorim train":
        lines += ["", f"{command} --help_all shows every option."]
    return "\n".join(lines) + "\n"
