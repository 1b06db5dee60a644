"""What the machine can do: precision, device, threads."""

from __future__ import annotations

import contextlib
import os
from typing import Literal

import torch

Precision = Literal["32", "bf16", "16"]


def pick_device(accelerator: str = "auto") -> torch.device:
    """The device that inference runs on."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_precision(asked: str, device: torch.device) -> Precision:
    """The precision asked for; `auto` is bf16 where the hardware computes in it.

    Elsewhere it is 16 bits on a GPU and 32 bits on a CPU, because emulated bf16 is slower.
    """
    match asked:
        case "32" | "bf16" | "16":
            return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "16"
    return "bf16" if device.type == "cpu" and _cpu_has_bf16() else "32"


def is_first_process() -> bool:
    """Of the processes that train together, is this the one that writes files and messages?

    The variables that launchers set tell.
    """
    ranks = ("RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK")
    return all(os.environ.get(name, "0") in ("", "0") for name in ranks)


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[None]:
    """A context in which a network computes with this precision."""
    if precision == "32":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(device.type, dtype)


def _cpu_has_bf16() -> bool:
    # PyTorch has no public question for this: its public one says yes where bf16 is only emulated.
    questions = (
        getattr(torch.cpu, name, lambda: False)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(question() for question in questions)
