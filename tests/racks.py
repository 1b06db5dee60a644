"""Films of racks: several mice in one picture, each in a chamber of its own."""

from pathlib import Path

import numpy as np

from dolorim.labels.ethogram import PAIN
from dolorim.simulate.camera import draw_cage, render
from dolorim.simulate.mouse import Mouse, draw_labels, move
from videos import WALK, write_film

REST = next(r.id for r in PAIN.raw if r.name == "rest")


def mouse_pictures(seed: int, n_frames: int, side_px: int, still: bool = False) -> list[np.ndarray]:
    """Pictures of one simulated mouse that walks for half of the time, or only breathes."""
    rng = np.random.default_rng(seed)
    labels = np.full(n_frames, REST, np.int16)
    if not still:
        labels = draw_labels(n_frames, 30, rng)
        labels[n_frames // 4 : 3 * n_frames // 4] = WALK
    mouse = Mouse(length_px=side_px * 0.3, noise=2.0)
    motion, cage = move(labels, mouse, side_px, 30, rng), draw_cage(mouse, side_px, rng)
    return [render(motion, mouse, cage, frame) for frame in range(n_frames)]


def empty_pictures(seed: int, n_frames: int, side_px: int) -> list[np.ndarray]:
    """Pictures of a chamber in which nobody is, with the noise of the camera."""
    noise = np.random.default_rng(seed).normal(0, 2, (n_frames, side_px, side_px))
    floor = 130 + 15 * np.mgrid[:side_px, :side_px][1] / side_px  # lit from one side
    return [(floor + noise[i]).clip(0, 255).astype(np.uint8) for i in range(n_frames)]


def tile(pictures: list[list[np.ndarray]], columns: int, wall_px: int = 0) -> list[np.ndarray]:
    """Films of one size side by side, row by row; their outermost pixels become dark walls."""
    height, width = pictures[0][0].shape
    inner = np.s_[wall_px : height - wall_px, wall_px : width - wall_px]
    tiled = []
    for frame in zip(*pictures, strict=True):
        walled = [np.full_like(picture, 12) for picture in frame]
        for chamber, picture in zip(walled, frame, strict=True):
            chamber[inner] = picture[inner]
        rows = [np.hstack(walled[i : i + columns]) for i in range(0, len(walled), columns)]
        tiled.append(np.vstack(rows))
    return tiled


def rack_film(
    path: Path,
    chambers: int = 4,
    columns: int = 2,
    *,
    n_frames: int = 60,
    side_px: int = 96,
    wall_px: int = 3,
    empty: tuple[int, ...] = (),
    still: tuple[int, ...] = (),
) -> Path:
    """Film mice in a rack; those chambers that are `empty` have none, and `still` ones rest."""
    pictures = []
    for i in range(chambers):
        if i in empty:
            pictures.append(empty_pictures(i, n_frames, side_px))
        else:
            pictures.append(mouse_pictures(i, n_frames, side_px, i in still))
    tiled = tile(pictures, columns, wall_px)
    return write_film(path, tiled, options={"crf": "18", "preset": "ultrafast"})
