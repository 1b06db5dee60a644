"""What the pages say can be typed: commands parse, links lead somewhere, the quick start runs."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import dolorim as dl
from dolorim import presets
from dolorim.cli import VERBS, main
from dolorim.presets import PRESETS
from dolorim.simulate.study import StudyPlan, simulate_study

HOME = Path(__file__).parents[1]
PAGES = sorted(
    [
        *HOME.glob("*.md"),
        *(HOME / "docs").glob("*.md"),
        HOME / "benchmarks" / "README.md",
    ]
)
ORIGINAL = HOME / "docs" / "from_the_original_scripts.md"
SCRIPTS = [
    "train.py",
    "multimodal_train.py",
    "train_multitask.py",
    "inference.py",
    "multimodal_inference.py",
    "evaluation.py",
    "extract_frames.py",
    "validate_data_structure.py",
    "validate_simple.py",
    "debug_dlc_csv.py",
    "test_pipeline.py",
    "test_updated_loaders.py",
    "test_multitask_data.py",
    "train_multigpu.sh",
    "train_multimodal_multigpu.sh",
    "extract_all_frames.sh",
]
FLAGS = (
    "annotations videos dlc model_type epochs batch_size clip_length backbone_type "
    "encoder_name encoder_weights img_size freeze_backbone_epochs unfreeze_last hidden_dim "
    "tcn_layers dropout train_T val_T lambda_kp focal_gamma label_smoothing lambda_smooth "
    "rare_threshold_share rare_boost_cap aug_brightness aug_contrast aug_temporal_drop "
    "kp_jitter_std use_ema ema_decay lr weight_decay warmup_epochs lr_schedule "
    "early_stopping_patience min_frames kp_names kp_likelihood_thr use_wandb wandb_entity "
    "wandb_project wandb_run_name num_workers accelerator devices "
)


class _ParsedError(Exception):
    """The command line was understood; nothing more is wanted."""


def read_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a verb makes of its arguments, without doing it. Fails where it cannot parse them."""
    verb, *rest = words
    assert verb in VERBS, verb
    module = import_module(f"dolorim.cli.{verb.replace('-', '_')}")
    parse, settings = module.parse, []

    def parse_only(*arguments: Any, **named: Any) -> Any:
        settings.append(parse(*arguments, **named))
        raise _ParsedError

    with monkeypatch.context() as patch:
        patch.setattr(module, "parse", parse_only)
        if verb == "train":  # the settings of a run that the page only tells of
            patch.setattr(presets, "read_config", lambda path: PRESETS[rest[0]])
        with pytest.raises(_ParsedError):
            module.run(rest)
    return settings[0]


def commands_in(text: str) -> list[list[str]]:
    """The dolorim commands in the code blocks of a page."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.S | re.M) + re.findall(
        r"(?:^    .*\n)+", text, re.M
    )
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("dolorim ")]


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_on_a_page_is_one_that_the_program_understands(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in commands_in(page.read_text("utf-8")):
        if words[0].isupper() or "..." in words:
            continue
        read_command(words, monkeypatch)


def test_a_command_with_a_wrong_flag_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        read_command(["check", "study", "--no_such_flag"], monkeypatch)


LIBRARY = [
    "model.py",
    "data_loader.py",
    "multimodal_model.py",
    "multimodal_data_loader.py",
    "pose_graph.py",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_of_the_first_pipeline_has_its_command(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = re.findall(rf"^\| `{re.escape(script)}` \|(.*)$", ORIGINAL.read_text("utf-8"), re.M)
    commands = [c for c in code_in(row) if c.startswith("dolorim ")]
    assert commands
    for command in commands:
        read_command(shlex.split(command)[1:], monkeypatch)


def test_every_flag_of_the_first_pipeline_is_understood_as_it_was_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        code_in(row) for row in re.findall(r"^\| (`--[^|]*)\|", ORIGINAL.read_text("utf-8"), re.M)
    ]
    assert {f.split()[0] for row in rows for f in row} >= {f"--{flag}" for flag in FLAGS.split()}
    for flags in itertools.zip_longest(
        *rows, fillvalue=""
    ):  # the flags of a row are apart: some are two names of one
        settings = read_command(
            ["train", "multitask", "--run", "r", *shlex.split(" ".join(flags))], monkeypatch
        )
        assert settings.run == Path("r")
    settings = read_command(
        ["train", "multitask", "--run", "r", *shlex.split(" ".join(r[0] for r in rows))],
        monkeypatch,
    )
    assert (settings.model.tasks, settings.model.visual, settings.train.focal_gamma) == (
        "action_only",
        "videomae2_3d",
        2.5,
    )


@pytest.mark.parametrize("file", LIBRARY)
def test_every_library_file_of_the_first_pipeline_has_its_successor(file: str) -> None:
    (row,) = re.findall(rf"^\| `{re.escape(file)}` \|(.*)$", ORIGINAL.read_text("utf-8"), re.M)
    assert "`src/dolorim/" in row or "the same" in row


@pytest.mark.parametrize("page", ["architecture.md", "from_the_original_scripts.md"])
def test_every_file_of_the_package_that_a_page_names_is_there(page: str) -> None:
    text = (HOME / "docs" / page).read_text("utf-8")
    named = re.findall(r"`(?:src/dolorim/)?([a-z]+/\w+\.py)\b", text)
    files = [f for f in named if not f.startswith(("benchmarks/", "tests/"))]
    assert files
    assert [f for f in files if not (HOME / "src" / "dolorim" / f).exists()] == []


def test_every_link_and_picture_of_the_pages_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), (
                f"{page.name}: {target}"
            )


def test_every_test_that_the_page_of_faults_names_is_there() -> None:
    rows = (HOME / "docs" / "reliability.md").read_text("utf-8").splitlines()
    named = 0
    for row in rows:
        cell = row.rstrip(" |").rpartition(" | ")[2]
        file = ""
        for code in re.findall(r"`([^`]+)`", cell):
            file, _, test = code.partition(": ") if code.startswith("test_") else (file, "", code)
            text = (HOME / "tests" / file).read_text("utf-8") if file else ""
            if file and test:
                named += 1
                assert f"def test_{test.removesuffix('...')}" in text, code
    assert named > 20


def test_every_finding_on_the_page_of_check_is_one_that_the_program_makes() -> None:
    page = (HOME / "docs" / "check.md").read_text("utf-8")
    cells = re.findall(r"^\| (`[^|]*) \|", page, re.M)
    names = {name for cell in cells for name in re.findall(r"`([a-z0-9-]+)`", cell)}
    assert len(names) > 40
    code = "".join(p.read_text("utf-8") for p in (HOME / "src" / "dolorim").rglob("*.py"))
    assert {name for name in names if f'"{name}"' not in code} == set()


def headings_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([\w./]*)#([^)\s]+)\)", page.read_text("utf-8")):
        assert anchor in headings_of(page.parent / target if target else page), (target, anchor)


def test_the_index_leads_to_every_page() -> None:
    text = (HOME / "docs" / "index.md").read_text("utf-8")
    assert [
        p.name
        for p in (HOME / "docs").glob("*.md")
        if p.name != "index.md" and f"({p.name})" not in text
    ] == []


QUICK = (
    "--trial_length 90 --image_size 32 --clip_length 8 --width 16 --hidden_dim 8 "
    "--tcn_layers 3 --pose_reach 4 --epochs 1 --batch_size 8 --train_T 16 --accelerator cpu --quiet"
)


def test_the_quick_start_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a smaller study in the place of the demo's, with quick settings added to each training."""
    for name, first in (("study", 0), ("new", 9)):
        plan = StudyPlan(4, first=first, trials=1, trial_length=90, size_px=96, seed=3)
        simulate_study(tmp_path / "dolorim-demo" / name, plan)
    monkeypatch.chdir(tmp_path)
    commands = commands_in((HOME / "docs" / "quickstart.md").read_text("utf-8"))
    assert commands[0] == ["demo", "--only_study"]
    assert {c[1] for c in commands if c[0] == "train"} == set(PRESETS)
    for words in commands[1:]:
        if words[0] == "review":  # it serves a page until it is stopped
            read_command(words, monkeypatch)
            continue
        if words[0] == "train":
            words += [*QUICK.split(), "--cache", str(tmp_path / "cache")]
        if words[0] == "check":
            words += ["--trial_length", "90"]
        assert main(words) == (words[0] == "check"), (
            words
        )  # so few bouts and animals are worth a warning
    assert (tmp_path / "report" / "report.html").exists()
    assert list((tmp_path / "labels" / "overlay").glob("*.overlay.mp4"))
    assert list((tmp_path / "labels" / "video" / "boris").glob("*.boris.csv"))


def test_the_demo_stops_after_the_study_if_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "dolorim.simulate.study.simulate_study", lambda folder, plan, *_: asked.append(folder)
    )
    out = tmp_path / "demo"
    assert main(["demo", "--only_study", "--out", str(out)]) == 0
    assert asked == [out / "study", out / "new"]
    (out / "study").mkdir(parents=True)
    assert main(["demo", "--only_study", "--out", str(out)]) == 2
    assert len(asked) == 2


def test_the_examples_of_the_python_api_run(
    study: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the small study of the tests, under the names of the page; training is not repeated."""
    pytest.importorskip("xarray")
    video, pose = sorted((study / "Videos").iterdir())[0], sorted((study / "DLC").iterdir())[0]
    labels = [path for path in (study / "Annotations").iterdir() if video.name in path.name]
    places = {folder: tmp_path / "study" / folder for folder in ("Videos", "Annotations", "DLC")}
    for place in places.values():
        place.mkdir(parents=True)
    shutil.copy(video, places["Videos"] / "cage_267M.mp4")
    shutil.copy(video, tmp_path / "new.mp4")
    shutil.copy(pose, places["DLC"] / "cage_267MDLC_resnet50.csv")
    for path in labels:
        name = path.name.replace(video.name, "cage_267M.mp4")
        shutil.copy(path, places["Annotations"] / name)
    shutil.copytree(trained, tmp_path / "runs" / "first")
    (tmp_path / "another_study").symlink_to(tmp_path / "study")
    (tmp_path / "groups.csv").write_text("file,animal,group\nnew,1,saline\nother,2,CFA\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dl, "train", lambda approach, **settings: _trained(settings))
    page = (HOME / "docs" / "api.md").read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    assert len(examples) > 6
    names: dict[str, Any] = {"__name__": "page"}
    for example in examples:
        if "dl.report" in example:  # the labels that it reports on
            for name in ("new", "other"):
                renamed = names["run"].predict("new.mp4").predictions
                dl.Prediction(dataclasses.replace(renamed, name=name)).save("labels")
        exec(compile(example, "api.md", "exec"), names)
    assert names["points"].shape[1:] == (6, 2)


def _trained(settings: dict[str, Any]) -> dl.Run:
    presets.with_settings(PRESETS["video"], {"epochs": settings["epochs"]})
    return dl.load_run(settings["run"])
