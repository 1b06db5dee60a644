"""Small videos for tests: pictures that are known beforehand, in any codec and pixel format."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dolorim.labels.ethogram import PAIN
from dolorim.simulate.camera import draw_cage, render
from dolorim.simulate.mouse import Mouse, draw_labels, move

LOSSLESS = {"qp": "0"}
_BIT = 8  # side of the square that writes one bit of a frame's number
WALK = next(r.id for r in PAIN.raw if r.name == "walk")


def write_film(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    rate: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    full_range: bool = False,
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write gray pictures `(height, width)` uint8, 0 black and 255 white, as a video in limited or
    full range."""
    height, width = images[0].shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.options = {"threads": "1", **(options or {})}
        if times_ms is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if full_range:
            stream.codec_context.color_range = 2
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gray")
            frame = frame.reformat(format=pix_fmt, dst_color_range="JPEG" if full_range else "MPEG")
            if full_range:
                frame.color_range = 2
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbered(n: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Pictures with soft moving stripes; eight squares along the top edge write each one's number
    in bits."""
    y, x = np.mgrid[:height, :width]
    pictures = []
    for i in range(n):
        picture = (128 + 90 * np.sin(x / 11 + i / 4) * np.cos(y / 17)).astype(np.uint8)
        for bit in range(8):
            picture[:_BIT, bit * _BIT : (bit + 1) * _BIT] = 215 if i >> bit & 1 else 40
        pictures.append(picture)
    return pictures


def number_in(gray: np.ndarray) -> int:
    """The number that `numbered` wrote into a picture."""
    middles = gray[_BIT // 2, _BIT // 2 : 8 * _BIT : _BIT]
    return sum(1 << bit for bit, level in enumerate(middles.tolist()) if level > 128)


def mouse_film(
    path: Path,
    mouse: Mouse,
    *,
    seed: int = 0,
    still: bool = False,
    n_frames: int = 90,
    size_px: int = 160,
    light: tuple[float, float] | None = None,
    overlay: Callable[[np.ndarray, int], None] = lambda picture, frame: None,
) -> np.ndarray:
    """Film a simulated mouse and return where its center is, `(time, 2)` in pixels.

    A `still` one breathes, but does not leave its place; else it walks for half of the film at
    least. `light` is where a reflection lies on the floor, `overlay` draws into each picture.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros(n_frames, np.int16)
    if not still:
        labels = draw_labels(n_frames, 30, rng)
        labels[n_frames // 4 : 3 * n_frames // 4] = WALK
    motion, cage = move(labels, mouse, size_px, 30, rng), draw_cage(mouse, size_px, rng)
    if light is not None:
        y, x = np.mgrid[:size_px, :size_px]
        cage.empty[(x - light[0]) ** 2 + (y - light[1]) ** 2 < (size_px / 20) ** 2] = 250
    pictures = []
    for frame in range(n_frames):
        picture = render(motion, mouse, cage, frame)
        overlay(picture, frame)
        pictures.append(picture)
    write_film(path, pictures, options={"crf": "18", "preset": "ultrafast"})
    return motion.center
