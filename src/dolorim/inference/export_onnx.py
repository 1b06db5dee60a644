"""A run's network as an ONNX file that labels without PyTorch and without this package.

The file takes a window of crops, as many as one call decides on with their context, and returns the
probabilities that `predict` writes. What must happen before and after is in its metadata.
"""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dolorim import __version__
from dolorim.config import CROPS
from dolorim.core.errors import UserError
from dolorim.inference.decoder import Decoder
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import fold_normalization
from dolorim.models.recognizer import Inputs, Recognizer

METADATA = "dolorim"
_OPSET = 18
_LEAST = 1e-12  # probability under a logarithm, as in the decoder


class WindowNetwork(nn.Module):
    """Crops of a window to the calibrated probabilities of its inner frames.

    `images` `(window, size, size)` uint8 and `crop_centers` `(window, 2)` float32, in sides of the
    crop, hold `n_frames` frames with all context. `inside` `(read,)` tells which of those that the
    context over time goes over are frames of the recording. Returns `(n_frames, classes)`.
    """

    def __init__(self, model: Recognizer, decoder: Decoder, n_frames: int) -> None:
        super().__init__()
        assert model.visual is not None
        self.model, self.decoder, self.n_frames = model, decoder, n_frames
        self.read = model.before + n_frames + model.after
        self.window = model.visual.before + self.read + model.visual.after
        self.looks_around = model.before + model.after > 0

    def forward(
        self, images: torch.Tensor, crop_centers: torch.Tensor, inside: torch.Tensor | None = None
    ) -> torch.Tensor:
        # Axes for the batch and for the one channel.
        frames = images[None, None].float() / 255
        streams = self.model.encode(Inputs(frames, crop_centers[None]), halo=True, maps=0)
        valid = None if inside is None else inside[None]
        logits = self.model.read(streams, valid, dense=True).actions[0]
        # Frames at either side were context, and their own context is not complete.
        logits = logits[self.model.before : self.model.before + self.n_frames]
        # The decoder's correction, as `Decoder.calibrated` makes it.
        scores = logits.softmax(-1).clamp(min=_LEAST).log()
        if self.decoder.prior:
            scores = scores + torch.tensor(self.decoder.prior).log()
        return (scores / self.decoder.temperature).softmax(-1)


def export_onnx(run: RunFolder, out: Path, n_frames: int) -> dict[str, Any]:
    """Write the network of a run, deciding on `n_frames` frames per call; returns the metadata.

    Raises `UserError` for a run that an ONNX file cannot hold, and without the package `onnx`.
    """
    if find_spec("onnx") is None:
        raise UserError(
            "--to onnx needs the package onnx, which is not installed",
            remedy='pip install "dolorim[onnx]"',
        )
    decoder = run.read_decoder()
    model = run.load_model()
    _refuse_what_cannot_be_written(run, model, decoder)
    network = WindowNetwork(fold_normalization(model), decoder, n_frames).eval()
    size = run.read_config().data.image_size
    inputs: dict[str, torch.Tensor] = {
        "images": torch.zeros(network.window, size, size, dtype=torch.uint8),
        "crop_centers": torch.zeros(network.window, 2),
    }
    # Without context over time, this input would change nothing, and ONNX would drop it.
    if network.looks_around:
        inputs["inside"] = torch.ones(network.read, dtype=torch.bool)
    _write(network, inputs, out)
    metadata = describe(run, network)
    _add_metadata(out, metadata)
    return metadata


def describe(run: RunFolder, network: WindowNetwork) -> dict[str, Any]:
    """What has to be known to use the file: input, context, output."""
    config, model = run.read_config(), network.model
    assert model.visual is not None
    # The same names as in `DataConfig`, so that they can be given to it.
    crops = {name: getattr(config.data, name) for name in CROPS}
    return {
        "dolorim": __version__,
        "classes": list(run.read_ethogram().classes),
        "rate_hz": config.data.run_rate_hz,
        "images": "crops as gray values 0-255, full range; before the first and after the last "
        "frame of a recording, that frame is repeated",
        "crop_centers": "centers (x, y) of the crop windows in the picture, in sides of the window",
        "inside": "which of the frames with context over time are frames of the recording",
        "window": network.window,
        "frames": network.n_frames,
        "before": model.visual.before + model.before,
        "after": model.visual.after + model.after,
        "read_before": model.before,
        "read_after": model.after,
        "crops": crops,
        "body_lengths_px": dict(run.read_body_lengths().pictures),
        "output": "probabilities (frames, classes) as predict writes them; smoothing and shortest "
        "bouts of the decoder below are not part of the file",
        "decoder": network.decoder.to_dict(),
    }


def _refuse_what_cannot_be_written(run: RunFolder, model: Recognizer, decoder: Decoder) -> None:
    what = None
    if set(run.read_head().shares) != {"network"}:
        what = f"{run.read_head().name} decides in it, and an ONNX file holds a network alone"
    elif model.visual is None:
        what = "it looks at poses alone, and an ONNX file gets pictures"
    elif decoder.focal_gamma:
        what = "it was trained with a focal loss, whose correction an ONNX file cannot hold"
    elif run.read_config().data.crop == "pose":
        what = "its crops follow poses, which an ONNX file does not get"
    if what is not None:
        raise UserError(
            what, where=run.path, remedy="use --to folder, which holds every kind of run"
        )


def _write(network: WindowNetwork, inputs: dict[str, torch.Tensor], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The window has one size, so all that tracing warns about stays as it is. The newer
            # exporter takes minutes and a package more, and writes the same.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                tuple(inputs.values()),
                str(part),
                input_names=list(inputs),
                output_names=["probabilities"],
                opset_version=_OPSET,
                dynamo=False,
            )
        part.replace(out)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"cannot be written as ONNX ({reason})", where=out, remedy="use --to folder"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _add_metadata(path: Path, metadata: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
    onnx.save(model, str(path))
