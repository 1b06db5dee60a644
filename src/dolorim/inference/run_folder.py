"""The run folder: everything that a trained model is, in files that anyone can open and nothing
has to be unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from dolorim.config import Config, config_toml, read_config
from dolorim.core.errors import UserError
from dolorim.dataset.splits import Split
from dolorim.files.structured import read_json
from dolorim.files.tables import write_text
from dolorim.inference.decoder import Decoder
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram
from dolorim.models.build import build_recognizer
from dolorim.models.recognizer import Recognizer
from dolorim.pose.pose import NO_SKELETON, Skeleton
from dolorim.video.body_length import NO_LENGTHS, BodyLengths


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run. Nothing is read or written before it is asked for."""

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
        """Make the folder for a new run, or return True where an unfinished one with these
        settings can go on.

        Several splits are the folds of a cross-validated run. Of processes that train together
        one is to `write`. Raises `UserError` where the folder holds a finished run, or one with
        other settings or folds; only which devices do the work may change on the way, and the
        batch size with them.
        """
        splits = (
            asdict(split) if isinstance(split, Split) else {"folds": [asdict(s) for s in split]}
        )
        if config.train.warm_start is not None and not self.config.exists():
            self.write_json(
                "seen_before.json", sorted(RunFolder(config.train.warm_start).learned_from())
            )
        if self.config.exists():
            self._refuse_other(config)
            if self.metrics.exists():
                raise UserError(
                    f"{self.path}: holds a finished run; choose another --run or delete the folder"
                )
            known = (
                self.read_json("splits.json") if (self.path / "splits.json").exists() else splits
            )
            if "folds" in {*known, *splits} and known != json.loads(json.dumps(splits)):
                raise UserError(
                    f"{self.path}: holds a run that was begun with other folds, or with none; "
                    "choose another --run, "
                    f"or give the same command to go on with it"
                )
        if write:
            write_text(self.config, config_toml(config))
            write_ethogram(self.path / "ethogram.toml", ethogram)
            self.write_json("splits.json", splits)
            self.write_json("skeleton.json", asdict(skeleton))
        return self.last_checkpoint.exists()

    def write_json(self, name: str, data: Any) -> None:
        write_text(self.path / name, json.dumps(data, indent=1, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        if not (self.path / name).is_file():
            raise UserError(
                f"{self.path / name}: there is no such file; is {self.path} a run folder?"
            )
        return read_json(self.path / name, "train again")

    def read_config(self) -> Config:
        if not self.config.exists():
            raise UserError(
                f"{self.path}: not a run folder (it has no config.toml); name one that train has "
                "written"
            )
        return read_config(self.config)

    def read_split(self) -> Split:
        self.refuse_folds()
        return self._split(self.read_json("splits.json"))

    def read_folds(self) -> tuple[Split, ...]:
        """The folds of a cross-validated run, the one split of another."""
        data = self.read_json("splits.json")
        folds = (
            data["folds"]
            if isinstance(data, dict) and isinstance(data.get("folds"), list)
            else [data]
        )
        return tuple(self._split(fold) for fold in folds)

    @property
    def is_cross_validated(self) -> bool:
        data = self.read_json("splits.json")
        return isinstance(data, dict) and "folds" in data

    def refuse_folds(self) -> None:
        """Raises `UserError` for a cross-validated run, which has no network of its own."""
        if self.is_cross_validated:
            raise UserError(
                f"{self.path}: a cross-validated run tells how well a recipe does and has no "
                "network of its own; name "
                f"a fold ({self.fold(0).path}), or train on all animals with --config "
                f"{self.config} --test_animals none"
            )

    def learned_from(self) -> set[str]:
        """Animals that the weights, the checkpoint or the decoder come from, those of a warm
        start among them.
        """
        split = self.read_split()
        return {*split.train, *split.val, *self.seen_before()}

    def seen_before(self) -> set[str]:
        """Animals that the run which this one started from comes from."""
        before = (
            self.read_json("seen_before.json") if (self.path / "seen_before.json").exists() else []
        )
        return {*map(str, before)}

    def read_training(self) -> dict[str, Any]:
        """The epoch that training reached and what ended it; empty for a run of a version that
        did not write it.
        """
        found = self.read_json("training.json") if (self.path / "training.json").exists() else {}
        return dict(found) if isinstance(found, dict) else {}

    def read_body_lengths(self) -> BodyLengths:
        """Those of the animals that the run was trained on; none for a run of a version that did
        not measure them.
        """
        if not (self.path / "body_lengths.json").exists():
            return NO_LENGTHS
        return BodyLengths.from_dict(
            self.read_json("body_lengths.json"), str(self.path / "body_lengths.json")
        )

    def _split(self, data: Any) -> Split:
        try:
            return Split(**{k: tuple(map(str, v)) for k, v in data.items()})
        except (TypeError, AttributeError):
            raise UserError(
                f"{self.path / 'splits.json'}: expected train, val and test with names of animals"
            ) from None

    def read_skeleton(self) -> Skeleton:
        """What the run's poses look like; without keypoints where it has learned from none."""
        if not (self.path / "skeleton.json").exists():
            return NO_SKELETON
        data = self.read_json("skeleton.json")
        try:
            return Skeleton(tuple(map(str, data["keypoints"])), int(data["animals"]))
        except (TypeError, KeyError, ValueError):
            raise UserError(
                f"{self.path / 'skeleton.json'}: expected keypoints and animals; train again"
            ) from None

    def read_ethogram(self) -> Ethogram:
        return read_ethogram(self.path / "ethogram.toml")

    def read_decoder(self) -> Decoder:
        return Decoder.from_dict(
            self.read_json("decoder.json"),
            len(self.read_ethogram()),
            str(self.path / "decoder.json"),
        )

    def save_model(self, model: Recognizer) -> None:
        """Write the weights."""
        part = self.weights.with_suffix(".part")
        safetensors.torch.save_file(
            {k: v.contiguous() for k, v in model.state_dict().items()}, str(part)
        )
        part.replace(self.weights)

    def load_model(self) -> Recognizer:
        """Build the run's network and load its weights strictly. Raises `UserError` for whatever
        does not fit.
        """
        config, ethogram = self.read_config(), self.read_ethogram()
        if not self.weights.exists() and (self.path / "splits.json").exists():
            self.refuse_folds()
        network = config.model, len(ethogram), self.read_skeleton(), config.data.image_size
        if not self.weights.exists():
            raise UserError(
                f"{self.weights}: there is no such file; the run has not finished training"
            )
        try:
            tensors = safetensors.torch.load_file(str(self.weights))
        except (safetensors.SafetensorError, OSError) as error:
            raise UserError(
                f"{self.weights}: cannot be read ({error}); copy the run folder again"
            ) from None
        with torch.device(
            "meta"
        ):  # takes no memory, however large a network somebody's settings may ask for
            refuse_other_shapes(build_recognizer(*network).state_dict(), tensors, self.weights)
        model = build_recognizer(*network)
        load_strictly(model, tensors, self.weights)
        return model.eval()

    def _refuse_other(self, config: Config) -> None:
        before, now = asdict(self.read_config()), asdict(config)
        free = {"accelerator", "devices", "num_nodes", "strategy", "num_workers"}
        if any(before["train"][key] != now["train"][key] for key in ("devices", "num_nodes")):
            free.add("batch_size")
        for section, values in now.items():
            for key in values if isinstance(values, dict) else [None]:
                old, new = (d[section] if key is None else d[section][key] for d in (before, now))
                if old != new and not (section == "train" and key in free):
                    name = key or section
                    raise UserError(
                        f"{self.path}: holds a run with {name} = {old}, not {new}; choose another "
                        "--run, or give the "
                        f"same settings to go on with it"
                    )


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
