"""Pretrained encoders: the source and license of their weights, and the pictures they expect."""

from __future__ import annotations

import hashlib
import pickle
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dolorim.core.errors import UserError

State = Mapping[str, torch.Tensor]

_WRAPPERS = ("module", "model", "state_dict")  # keys that a checkpoint may keep its tensors under
_PICKLED = {".pt", ".pth", ".bin"}
# What a damaged file makes of the unpickler.
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
    """A checkpoint on the hub: `files` are tried in order; the license is what its page says."""

    repository: str
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    license: str = "no license stated on its page"

    @property
    def non_commercial(self) -> bool:
        return "nc" in self.license.lower().replace("-", " ").split()

    def __str__(self) -> str:
        warning = ", so not for commercial use" if self.non_commercial else ""
        return f"{self.repository} ({self.license}{warning})"


@runtime_checkable
class Pretrained(Protocol):
    """An encoder that others have trained.

    `source` is where its weights come from, `blocks` are its layers in order.
    """

    source: Source

    @property
    def blocks(self) -> Sequence[nn.Module]: ...

    def adopt(self, state: State, where: str) -> None:
        """Load a checkpoint strictly. Raises a `UserError` of one line where it does not fit."""

    def without_points(self, features: torch.Tensor) -> torch.Tensor:
        """Features `(batch, time, width)` of the same frames as if no keypoint were known."""


def load_encoder(encoder: Pretrained, weights: str) -> str:
    """Give an encoder its weights: `hub`, `random` or a file.

    Returns what was loaded, with its license, for the log. Raises `UserError` where the weights
    cannot be had or do not fit; never falls back to random ones.
    """
    if weights == "random":
        return "random weights, as requested"
    if weights == "hub":
        path = hub_file(encoder.source)
        origin = f"weights of {encoder.source}"
    else:
        path = Path(weights)
        origin = f"weights of {path}; mind their license"
    encoder.adopt(read_weights(path), str(path))
    return origin


def hub_file(source: Source) -> Path:
    """A checkpoint in the hub's local cache, or else downloaded.

    Raises `UserError` where neither works.
    """
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
                f"--encoder_name {source.repository}: not a name on the hub ({one_line(error)}); "
                "a file of weights goes to --encoder_weights"
            ) from None
    reason = "no such file there"
    for name in source.files:
        try:
            return Path(hf_hub_download(source.repository, name))
        except RemoteEntryNotFoundError:
            continue
        except (OSError, ValueError, httpx.HTTPError) as error:
            offline = isinstance(error, LocalEntryNotFoundError)
            reason = "no network" if offline else one_line(error)
            break
    raise UserError(
        f"--encoder_weights hub: {source} is neither in the local hub cache nor can it be "
        f"downloaded ({reason}); on a machine with a network run "
        f"`hf download {source.repository} {source.files[0]}` and pass that file as "
        "--encoder_weights PATH, or ask for untrained weights with --encoder_weights random"
    )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Names to tensors, from a `.safetensors` file or a PyTorch checkpoint (`.pt`, `.pth`, `.bin`).

    Raises `UserError` for a file that is missing, is not what its name says, or holds anything but
    tensors: nothing is unpickled that could run code.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(
            f"--encoder_weights: expected hub, random or a file, found {path}, which is no file"
        )
    if suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(
                f"{path}: not a safetensors file ({one_line(error)}); download it again"
            ) from None
    if suffix not in _PICKLED:
        raise UserError(
            f"{path}: expected a .safetensors, .pt, .pth or .bin file, "
            f"found {suffix or 'no suffix'}"
        )
    content = _unpickled(path)
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    return _only_tensors(content, path)


def _unpickled(path: Path) -> Any:
    try:
        # PyTorch warns about how a file was pickled; anything that matters is raised anyway.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds Python objects, not only tensors, and is not opened "
            f"({one_line(error)}); save its state_dict alone, best as .safetensors"
        ) from None
    except _UNREADABLE as error:
        raise UserError(
            f"{path}: not a PyTorch checkpoint ({one_line(error)}); download it again"
        ) from None


def _only_tensors(content: Any, path: Path) -> dict[str, torch.Tensor]:
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected names and tensors, found {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: expected a tensor for each name, "
                f"found {type(value).__name__} for {name!r}"
            )
    return content


def load_strictly(module: nn.Module, state: State, where: str) -> None:
    """Load every tensor by name and shape. Raises `UserError` that names the first misfit."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or extra:
        problems = [f"{name} is missing" for name in missing[:1]]
        problems += [f"{name} is left over" for name in extra[:1]]
        raise UserError(
            f"{where}: not the weights of this encoder: {' and '.join(problems)} "
            f"({len(missing)} missing, {len(extra)} left over); "
            "give the --encoder_name that the file belongs to"
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise UserError(
                f"{where}: {name}: expected the shape {tuple(own[name].shape)}, "
                f"found {tuple(value.shape)}; give the --encoder_name that the file belongs to"
            )
    module.load_state_dict(dict(state))


def check_patches(name: str, image_size: int, patch: int) -> None:
    """Raises `UserError` where a picture's side is not a multiple of a transformer's patch."""
    if image_size < patch or image_size % patch:
        fits = max(round(image_size / patch), 1) * patch
        raise UserError(
            f"--image_size {image_size}: {name} needs a multiple of {patch} pixels, its patch, "
            f"such as {fits}"
        )


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
    """The last `number` blocks of an encoder, or all if it has fewer.

    Raises `UserError` where some are requested and it has none.
    """
    blocks = encoder.blocks
    if number and not blocks:
        raise UserError(
            f"--unfreeze_last {number}: this network has no blocks to count; 0 trains all of it"
        )
    return blocks[len(blocks) - min(number, len(blocks)) :]


def freeze(encoder: nn.Module, but: Sequence[nn.Module] = ()) -> None:
    """Exclude an encoder from training, except for some blocks.

    The frozen part also keeps its running statistics, and does not use dropout.
    """
    encoder.requires_grad_(False).eval()
    for block in but:
        block.requires_grad_(True).train()


class Picture(nn.Module):
    """Gray pictures to the pictures of pretraining: in color, resized and standardized.

    `(n, 1, height, width)` from 0 to 1 -> `(n, 3, size, size)`.
    """

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
    """The first line of an error's message, at most 150 characters."""
    return str(error).strip().split("\n")[0][:150]
