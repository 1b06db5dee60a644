"""An encoder on disk: `encoder.safetensors`, its weights, and `encoder.json`, its card.

The card tells which videos the weights have seen, by name and by content, so that training can say
whether test animals were among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Strict
from safetensors.torch import save_file

from dolorim.core.errors import UserError
from dolorim.files.structured import as_dataclass, read_json
from dolorim.files.tables import write_text
from dolorim.labels.trials import Recording
from dolorim.models.frame_encoder import FrameEncoder
from dolorim.models.pretrained import fingerprint as weights_key
from dolorim.models.pretrained import load_strictly, read_weights
from dolorim.video.cache import fingerprint

WEIGHTS, CARD = "encoder.safetensors", "encoder.json"
_KIND = "frame encoder on motion maps"
_Width = Annotated[int, Strict(), Field(ge=1, le=4096)]


@dataclass(frozen=True)
class _Card:
    """What a card must hold to describe weights; the rest of it is for people."""

    __pydantic_config__ = ConfigDict(extra="ignore")

    kind: Literal["frame encoder on motion maps"]
    stages: Annotated[tuple[_Width, ...], Field(min_length=2)]
    weights: str


@dataclass(frozen=True)
class Encoder:
    """A trained encoder and its card.

    `key` tells its weights from any others, for the names of stored features.
    """

    network: FrameEncoder
    card: dict[str, Any]
    key: str
    folder: Path

    @property
    def width(self) -> int:
        """Features per frame."""
        return self.network.width

    def __str__(self) -> str:
        return f"{self.folder} ({self.card.get('method', 'unknown method')})"


def load_encoder_folder(folder: Path) -> Encoder:
    """Read an encoder. Raises `UserError` for anything that is missing or does not fit."""
    card = read_card(folder)
    network = FrameEncoder(card["stages"])
    state = read_weights(folder / WEIGHTS)
    load_strictly(network, state, str(folder / WEIGHTS))
    key = weights_key(state)
    if key != card["weights"]:
        raise UserError(
            f"these are not the weights that {CARD} describes",
            where=folder / WEIGHTS,
            remedy="copy both files again",
        )
    return Encoder(network.eval(), card, key, folder)


def save_encoder(network: FrameEncoder, card: dict[str, Any], folder: Path) -> Encoder:
    """Write both files; the card, written last, marks the encoder as finished."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    part = folder / f"{WEIGHTS}.part"
    save_file(state, part)
    part.replace(folder / WEIGHTS)
    card = {"kind": _KIND, "stages": [*network.stages], "weights": weights_key(state), **card}
    write_text(folder / CARD, json.dumps(card, indent=1, allow_nan=False) + "\n")
    return Encoder(network.eval(), card, card["weights"], folder)


def read_card(folder: Path) -> dict[str, Any]:
    """The card of an encoder. Raises `UserError` where there is none."""
    path = folder / CARD
    if not path.is_file():
        raise UserError(
            f"has no {CARD}",
            where=folder,
            remedy="name a folder that `dolorim pretrain` has finished",
        )
    card: dict[str, Any] = read_json(path)
    remedy = "make it again with dolorim pretrain"
    as_dataclass(_Card, card, path, remedy, "not the card of an encoder")
    return card


def describe_video(video: Path) -> dict[str, Any]:
    """A video as a card names it: by its name, and by what its content is."""
    state = fingerprint(video)
    return {"name": video.name, "bytes": state["bytes"], "ends": state["ends"]}


def seen_videos(card: dict[str, Any], videos: Iterable[Path]) -> set[Path]:
    """Those of the videos that an encoder, or one that it continued from, has seen.

    A video counts as seen if its content is the same, whatever it is called now.
    """
    known = {_content(video) for video in card.get("videos", ()) if isinstance(video, dict)}
    return {video for video in videos if video.is_file() and _content(fingerprint(video)) in known}


def keep_card(run: Path, *sources: Path | None) -> None:
    """Note in a run folder which videos were seen without labels before its training.

    `sources` are what its weights come from: encoders, and runs that came from one.
    """
    cards = [read_card(s) for s in sources if s is not None and (s / CARD).exists()]
    if cards:
        videos = {_content(video): video for card in cards for video in card.get("videos", ())}
        card = {**cards[0], "videos": [*videos.values()]}
        write_text(run / CARD, json.dumps(card, indent=1, allow_nan=False) + "\n")


def seen_unlabelled(run: Path, recordings: Iterable[Recording]) -> list[str]:
    """The animals whose videos the encoder of a run has seen, without their labels."""
    if not (run / CARD).exists():
        return []
    shown = [(one.file, one.animal) for one in recordings if one.file is not None]
    # One video may show several animals, each in its chamber.
    seen = seen_videos(read_card(run), {video for video, _ in shown})
    return sorted({animal for video, animal in shown if video in seen})


def _content(video: dict[str, Any]) -> tuple[Any, Any]:
    return video.get("bytes"), video.get("ends")
