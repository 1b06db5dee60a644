"""The run folder: everything that a trained model is, in files that anyone can open.

Nothing in it has to be unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch

from dolorim.config import Config, config_toml, read_config
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split
from dolorim.files.structured import STRICT, as_dataclass, read_json
from dolorim.files.tables import write_text
from dolorim.inference.decoder import Decoder
from dolorim.inference.head import NETWORK, PREFIX, Head, quick_from, quick_tensors
from dolorim.inference.run_paths import (
    relative_paths,
    with_absolute_paths,
    with_moved_paths,
)
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram
from dolorim.models.build import build_recognizer
from dolorim.models.quick import QuickRecognizer
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.video.body_length import NO_LENGTHS, BodyLengths

# Settings of `TrainConfig` that may change when an interrupted run continues on another machine.
_WHO_TRAINS = ("accelerator", "devices", "num_nodes", "strategy", "num_workers")


@dataclass(frozen=True)
class TrainingRecord:
    """The content of `training.json`: epochs reached and planned, what ended training, minutes."""

    __pydantic_config__ = STRICT

    epoch: int
    epochs: int
    ended_by: Literal["epochs", "max_minutes", "patience", "stop_at_f1"]
    minutes: float


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run: its paths, and its files as values.

    Nothing is read or written before it is asked for. What reads a file raises `UserError` where
    the file is missing or damaged.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def predictions(self, part: str) -> Path:
        """Folder of the predictions of held-out recordings."""
        return self.path / "predictions" / part

    def fold(self, number: int) -> RunFolder:
        """The run folder of one fold of a cross-validated run, counted from 0."""
        return RunFolder(self.path / "folds" / str(number))

    def start(
        self,
        config: Config,
        ethogram: Ethogram,
        split: Split | Sequence[Split],
        skeleton: Skeleton = NO_SKELETON,
        write: bool = True,
    ) -> bool:
        """Make the folder for a new run; True where an unfinished one with these settings can
        continue.

        Several splits are the folds of a cross-validated run. Of processes that train together, one
        is to `write`. Raises `UserError` where the folder holds a finished run, or one with other
        settings or folds; only the devices that do the work may change in between, and the batch
        size with them.
        """
        if isinstance(split, Split):
            splits = asdict(split)
        else:
            splits = {"folds": [asdict(fold) for fold in split]}
        config = with_absolute_paths(config)
        if self.config.exists():
            self._refuse_other_settings(config)
            self._refuse_finished()
            self._refuse_other_folds(splits)
        elif config.train.warm_start is not None:
            seen_before = sorted(RunFolder(config.train.warm_start).learned_from())
            self.write_json("seen_before.json", seen_before)
        if write:
            write_text(self.config, config_toml(config))
            self.write_json("paths.json", relative_paths(config, self.path))
            write_ethogram(self.path / "ethogram.toml", ethogram)
            self.write_json("splits.json", splits)
            self.write_json("skeleton.json", asdict(skeleton))
        return self.last_checkpoint.exists()

    def _refuse_finished(self) -> None:
        if self.metrics.exists():
            raise UserError(
                "holds a finished run",
                where=self.path,
                remedy="choose another --run or delete the folder",
            )

    def _refuse_other_folds(self, splits: dict[str, Any]) -> None:
        """Folds must stay the same. A single split may be drawn again, as the settings say."""
        before = self.read_json("splits.json", default=splits)
        # Through JSON, which turns tuples into lists.
        now = json.loads(json.dumps(splits))
        if "folds" in {*before, *now} and before != now:
            raise UserError(
                "holds a run that was begun with other folds, or with none",
                where=self.path,
                remedy="choose another --run, or give the same command to continue it",
            )

    def _refuse_other_settings(self, config: Config) -> None:
        before = _by_path(asdict(with_absolute_paths(self.read_config())))
        now = _by_path(asdict(config))
        free = {("train", name) for name in _WHO_TRAINS}
        if any(before["train", name] != now["train", name] for name in ("devices", "num_nodes")):
            free.add(("train", "batch_size"))
        for path, value in now.items():
            if path not in free and before[path] != value:
                raise UserError(
                    f"holds a run with {path[-1]} = {before[path]}, not {value}",
                    where=self.path,
                    remedy="choose another --run, or give the same settings to continue it",
                )

    def write_json(self, name: str, data: Any) -> None:
        write_text(self.path / name, json.dumps(data, indent=1, allow_nan=False) + "\n")

    def read_json(self, name: str, default: Any = None) -> Any:
        """The value of a JSON file of the run, or `default` where there is no such file.

        Raises `UserError` for a damaged file, and for a missing one without a default.
        """
        path = self.path / name
        if path.is_file():
            return read_json(path, "train again")
        if default is None:
            raise UserError(
                "there is no such file", where=path, remedy=f"is {self.path} a run folder?"
            )
        return default

    def read_config(self) -> Config:
        """The settings, with the paths of a study that was moved together with this folder.

        Raises `UserError` for a folder that holds no run.
        """
        if not self.config.exists():
            raise UserError(
                "not a run folder (it has no config.toml)",
                where=self.path,
                remedy="name one that train has written",
            )
        relative = self.read_json("paths.json", default={})
        if not isinstance(relative, dict):
            raise UserError("expected paths", where=self.path / "paths.json", remedy="train again")
        return with_moved_paths(read_config(self.config), self.path, relative)

    def read_split(self) -> Split:
        """Which animals were learned from, and which were held out.

        Raises `UserError` for a cross-validated run.
        """
        self.refuse_folds()
        return self._as_split(self.read_json("splits.json"))

    def read_folds(self) -> tuple[Split, ...]:
        """The folds of a cross-validated run; the one split of any other."""
        data = self.read_json("splits.json")
        folds = [data]
        if isinstance(data, dict) and isinstance(data.get("folds"), list):
            folds = data["folds"]
        return tuple(self._as_split(fold) for fold in folds)

    def _as_split(self, data: Any) -> Split:
        return as_dataclass(Split, data, self.path / "splits.json", "train again")

    @property
    def is_cross_validated(self) -> bool:
        data = self.read_json("splits.json")
        return isinstance(data, dict) and "folds" in data

    def refuse_folds(self) -> None:
        """Raises `UserError` for a cross-validated run, which has no network of its own."""
        if self.is_cross_validated:
            raise UserError(
                "a cross-validated run tells how well a recipe does and has no network of its own",
                where=self.path,
                remedy=f"name a fold ({self.fold(0).path}), or train on all animals with "
                f"--config {self.config} --test_animals none",
            )

    def learned_from(self) -> set[str]:
        """Animals that the weights, the choice of the epoch, or the decoder come from.

        Those of a run that this one started from are among them.
        """
        split = self.read_split()
        return {*split.train, *split.val, *self.seen_before()}

    def seen_before(self) -> set[str]:
        """Animals that the run which this one started from has learned from."""
        return {*map(str, self.read_json("seen_before.json", default=[]))}

    def read_training(self) -> TrainingRecord | None:
        """How training ended; None for a run of version 0.1.0 and for one that is in training."""
        path = self.path / "training.json"
        if not path.exists():
            return None
        return as_dataclass(TrainingRecord, self.read_json(path.name), path, "train again")

    def read_body_lengths(self) -> BodyLengths:
        """Those of the animals that the run was trained on; none for a run of version 0.1.0."""
        path = self.path / "body_lengths.json"
        if not path.exists():
            return NO_LENGTHS
        return BodyLengths.from_dict(self.read_json(path.name), str(path))

    def read_skeleton(self) -> Skeleton:
        """The keypoints of the run's poses; none where it has learned from none."""
        path = self.path / "skeleton.json"
        if not path.exists():
            return NO_SKELETON
        return as_dataclass(Skeleton, self.read_json(path.name), path, "train again")

    def read_ethogram(self) -> Ethogram:
        return read_ethogram(self.path / "ethogram.toml")

    def read_decoder(self) -> Decoder:
        n_classes, path = len(self.read_ethogram()), self.path / "decoder.json"
        return Decoder.from_dict(self.read_json(path.name), n_classes, str(path))

    def read_head(self) -> Head:
        """What decides; the network in a run of a version that knew nothing else."""
        path = self.path / "head.json"
        return Head.from_dict(self.read_json(path.name), path) if path.exists() else Head()

    def save_model(
        self, model: Recognizer | None = None, quick: QuickRecognizer | None = None
    ) -> None:
        """Write the weights of the network, of quick heads, or of both."""
        tensors = {} if model is None else dict(model.state_dict())
        if quick is not None:
            tensors |= quick_tensors(quick)
        part = self.weights.with_suffix(".part")
        safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, str(part))
        part.replace(self.weights)

    def load_model(self) -> Recognizer:
        """Build the run's network and load its weights strictly. Raises `UserError` for whatever
        does not fit, and for a run of quick heads alone.
        """
        config, ethogram = self.read_config(), self.read_ethogram()
        tensors = self._read_tensors()
        if NETWORK not in self.read_head().shares:
            raise UserError(
                f"{self.path}: has no network, because {self.read_head().name} decides; "
                "name a run that was trained with --head network or auto"
            )
        tensors = {k: v for k, v in tensors.items() if not k.startswith(PREFIX)}
        network = config.model, len(ethogram), self.read_skeleton(), config.data.image_size
        with torch.device(
            "meta"
        ):  # takes no memory, however large a network somebody's settings may ask for
            refuse_other_shapes(build_recognizer(*network).state_dict(), tensors, self.weights)
        model = build_recognizer(*network)
        load_strictly(model, tensors, self.weights)
        return model.eval()

    def load_quick(self) -> QuickRecognizer:
        """The run's quick heads. Raises `UserError` for whatever does not fit."""
        tensors, head, config = self._read_tensors(), self.read_head(), self.read_config()
        n_classes, skeleton = len(self.read_ethogram()), self.read_skeleton()
        return quick_from(tensors, head, config, skeleton, n_classes, self.weights)

    def _read_tensors(self) -> dict[str, torch.Tensor]:
        if not self.weights.exists() and (self.path / "splits.json").exists():
            self.refuse_folds()
        if not self.weights.exists():
            raise UserError(
                f"{self.weights}: there is no such file; the run has not finished training"
            )
        try:
            return safetensors.torch.load_file(str(self.weights))
        except (safetensors.SafetensorError, OSError) as error:
            raise UserError(
                f"{self.weights}: cannot be read ({error}); copy the run folder again"
            ) from None


def _by_path(settings: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """Settings by section and name; a setting outside of all sections by its name alone."""
    flat: dict[tuple[str, ...], Any] = {}
    for section, values in settings.items():
        if isinstance(values, dict):
            flat |= {(section, name): value for name, value in values.items()}
        else:
            flat[section,] = values
    return flat


def load_strictly(model: torch.nn.Module, tensors: dict[str, torch.Tensor], source: Path) -> None:
    """Load weights that must fit in every name and shape."""
    refuse_other_shapes(model.state_dict(), tensors, source)
    model.load_state_dict(tensors)


def refuse_other_shapes(
    wanted: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor], source: Path
) -> None:
    """Raises `UserError` that names the first tensor that does not fit."""
    for name in [*wanted, *tensors]:
        if name not in tensors:
            raise UserError(f"{source}: lacks {name}, which the network in config.toml has")
        if name not in wanted:
            raise UserError(
                f"{source}: holds {name}, which the network in config.toml does not have"
            )
        if wanted[name].shape != tensors[name].shape:
            shapes = f"{tuple(wanted[name].shape)}, found {tuple(tensors[name].shape)}"
            raise UserError(f"{source}: expected {name} of shape {shapes}")
