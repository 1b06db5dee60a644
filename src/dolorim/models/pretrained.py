"""Pretrained encoders: where their weights come from, under which licence, and what they expect of a picture."""

from __future__ import annotations

import hashlib
import pickle
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dolorim.core.errors import UserError

State = Mapping[str, torch.Tensor]

_WRAPPERS = ("module", "model", "state_dict")  # what a checkpoint may keep its tensors under
_PICKLED = {".pt", ".pth", ".bin"}
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
)


@dataclass(frozen=True)
class Source:
    """A checkpoint on the hub: `files` are tried in order; the licence is as its page says."""

    repository: str
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    licence: str = "no licence stated on its page"

    @property
    def non_commercial(self) -> bool:
        return "nc" in self.licence.lower().replace("-", " ").split()

    def __str__(self) -> str:
        warning = ", so not for commercial use" if self.non_commercial else ""
        return f"{self.repository} ({self.licence}{warning})"


@runtime_checkable
class Pretrained(Protocol):
    """An encoder that others have trained: `source` says where its weights are, `blocks` are its layers in order."""

    source: Source

    @property
    def blocks(self) -> Sequence[nn.Module]: ...

    def adopt(self, state: State, where: str) -> None:
        """Take over a checkpoint strictly. Raises `UserError` in one line where it does not fit."""

    def without_points(self, features: torch.Tensor) -> torch.Tensor:
        """Features `(batch, time, width)` of the same frames as if no keypoint were known."""


def load_encoder(encoder: Pretrained, weights: str) -> str:
    """Give an encoder its weights: `hub`, `random` or a file. Returns what was loaded, licence included, to be printed.

    Raises `UserError` where the weights cannot be had or do not fit. Never falls back to random ones.
    """
    if weights == "random":
        return "random weights, as asked for"
    path = hub_file(encoder.source) if weights == "hub" else Path(weights)
    encoder.adopt(read_weights(path), str(path))
    return (
        f"weights of {encoder.source}"
        if weights == "hub"
        else f"weights of {path}; mind their licence"
    )


def hub_file(source: Source) -> Path:
    """A checkpoint's file in the hub's cache, downloaded if need be. Raises `UserError` where neither works."""
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    for name in source.files:
        try:
            return Path(hf_hub_download(source.repository, name, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        except ValueError as error:
            raise UserError(
                f"--encoder_name {source.repository}: not a name on the hub ({one_line(error)}); a file of weights "
                "goes to --encoder_weights"
            ) from None
    reason = "no such file there"
    for name in source.files:
        try:
            return Path(hf_hub_download(source.repository, name))
        except RemoteEntryNotFoundError:
            continue
        except (OSError, ValueError, httpx.HTTPError) as error:
            reason = "no network" if isinstance(error, LocalEntryNotFoundError) else one_line(error)
            break
    raise UserError(
        f"--encoder_weights hub: {source} is neither in the local hub cache nor can it be downloaded ({reason}); on a "
        f"machine with a network run `hf download {source.repository} {source.files[0]}` and pass that file as "
        "--encoder_weights PATH, or ask for untrained weights with --encoder_weights random"
    )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Names to tensors, of a `.safetensors` file or of a PyTorch checkpoint (`.pt`, `.pth`, `.bin`).

    Raises `UserError` for a file that is not there, is not what its name says, or holds anything but tensors: nothing
    is unpickled that could run code.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(
            f"--encoder_weights: expected hub, random or a file, found {path}, which is no file"
        )
    try:
        if suffix == ".safetensors":
            return load_file(path)
        if suffix not in _PICKLED:
            raise UserError(
                f"{path}: expected a .safetensors, .pt, .pth or .bin file, found {suffix or 'no suffix'}"
            )
        with warnings.catch_warnings():  # about how it was pickled; what matters of that is raised
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise UserError(
            f"{path}: not a safetensors file ({one_line(error)}); download it again"
        ) from None
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds Python objects, not only tensors, and is not opened ({one_line(error)}); save its "
            "state_dict alone, best as .safetensors"
        ) from None
    except _UNREADABLE as error:  # whatever a damaged file makes of the unpickler
        raise UserError(
            f"{path}: not a PyTorch checkpoint ({one_line(error)}); download it again"
        ) from None
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected names and tensors, found {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: expected a tensor for each name, found {type(value).__name__} for {name!r}"
            )
    return content


def load_strictly(module: nn.Module, state: State, where: str) -> None:
    """Load every tensor by name and shape. Raises `UserError` that names the first that does not fit."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or extra:
        lacks = f"{missing[0]} is missing" if missing else ""
        left = f"{extra[0]} is left over" if extra else ""
        raise UserError(
            f"{where}: not the weights of this encoder: {' and '.join(filter(None, (lacks, left)))} "
            f"({len(missing)} missing, {len(extra)} left over); give the --encoder_name that the file belongs to"
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise UserError(
                f"{where}: {name}: expected the shape {tuple(own[name].shape)}, found {tuple(value.shape)}; give the "
                "--encoder_name that the file belongs to"
            )
    module.load_state_dict(dict(state))


def fingerprint(state: nn.Module | State) -> str:
    """16 hexadecimal digits that tell weights apart by name, type, shape and every bit."""
    tensors = state.state_dict() if isinstance(state, nn.Module) else state
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def last_blocks(encoder: Pretrained, number: int) -> Sequence[nn.Module]:
    """The last blocks of an encoder, at most so many. Raises `UserError` where some are asked for and it has none."""
    blocks = encoder.blocks
    if number and not blocks:
        raise UserError(
            f"--unfreeze_last {number}: this network has no blocks to count; 0 trains all of it"
        )
    return blocks[len(blocks) - min(number, len(blocks)) :]


def freeze(encoder: nn.Module, but: Sequence[nn.Module] = ()) -> None:
    """Let nothing of an encoder learn but some blocks; the rest also keeps its statistics, and drops nothing."""
    encoder.requires_grad_(False).eval()
    for block in but:
        block.requires_grad_(True).train()


class Picture(nn.Module):
    """Gray pictures `(n, 1, height, width)` from 0 to 1 -> `(n, 3, size, size)`, standardized as in pretraining."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if frames.shape[-2:] != (self.size, self.size):
            frames = F.interpolate(frames, (self.size, self.size), mode="bilinear", antialias=True)
        return (frames - self.mean) / self.std


def one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:150]
