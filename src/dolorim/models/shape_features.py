"""Shape and motion in numbers, frame by frame, from `Maps`: how long and how curled the body is, how fast it goes and
turns, where on it and how quickly something moves. Nothing here depends on the animal's heading or coat.

All are moments of the maps, so that one matrix product finds them: with few animals such numbers generalize better
than anything learned from pixels (benchmarks/results/bottomview.md).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.motion_maps import Maps

_SIDE = 64  # pixels; maps are shrunk to about this side first
_POWERS = (
    (0, 0),
    (1, 0),
    (0, 1),
    (2, 0),
    (1, 1),
    (0, 2),
    (3, 0),
    (2, 1),
    (1, 2),
    (0, 3),
)  # of x and y
_LITTLE = 1e-3


class Kinematics(nn.Module):
    """Maps and window centers `(batch, time, 2)` to descriptors `(batch, time - 2 reach, width)`.

    Lengths are in half sides of the crop, speeds in tenths of a side per frame; the amounts of motion are logarithms.
    """

    def __init__(self, lags: tuple[int, ...]) -> None:
        super().__init__()
        self.lags = lags
        self.width = 5 + 14 * len(lags) + (2 if lags else 0)

    def forward(self, maps: Maps, track: torch.Tensor) -> torch.Tensor:
        height, width = _shrunk(maps.picture).shape[2:]
        basis = _basis(height, width, maps.picture.device, maps.picture.dtype)
        body = F.avg_pool2d((_shrunk(maps.picture).abs() - 0.3).clamp(0, 1), 3, 1, 1)
        shape = _Shape(body.flatten(2) @ basis, track)
        inner = shape.shifted(0, maps.reach)
        found = [inner.area.log(), inner.length, inner.width, inner.eccentricity, inner.skewness()]
        amounts = []
        inside = body[:, maps.reach : body.shape[1] - maps.reach]
        for motion in map(_shrunk, maps.motion):
            moments = motion.flatten(2) @ basis
            amounts.append((moments[..., 0] + _LITTLE).log())
            found += [
                amounts[-1],
                *_where(moments, (motion * inside).flatten(2) @ basis[:, 0], inner),
            ]
            found.append((motion > 0).to(basis.dtype).flatten(2) @ basis[:, 0])
        for lag in self.lags:
            found += shape.change(lag, maps.reach)
        if self.lags:
            flicker = _shrunk(maps.flicker).flatten(2) @ basis[:, 0]
            found += [(flicker + _LITTLE).log() - amounts[0], amounts[0] - amounts[-1]]
        return torch.stack(found, -1)


class _Shape:
    """The body as an ellipse in every frame, from moments `(batch, time, basis)` of its silhouette."""

    def __init__(self, moments: torch.Tensor, track: torch.Tensor) -> None:
        self.moments, self.track = moments, track
        self.area = moments[..., 0] + _LITTLE
        self.x, self.y = moments[..., 1] / self.area, moments[..., 2] / self.area
        xx = moments[..., 3] / self.area - self.x**2
        xy = moments[..., 4] / self.area - self.x * self.y
        yy = moments[..., 5] / self.area - self.y**2
        half, mean = (xx - yy) / 2, (xx + yy) / 2
        spread = (half**2 + xy**2 + 1e-10).sqrt()
        self.length = (mean + spread).clamp(min=1e-5).sqrt()
        self.width = (mean - spread).clamp(min=1e-5).sqrt()
        self.eccentricity = spread / mean.clamp(min=1e-4)
        self.cos2, self.sin2 = (
            half / spread,
            xy / spread,
        )  # of twice the angle: an ellipse has no front
        angle = torch.atan2(self.sin2, self.cos2) / 2
        self.along = (angle.cos(), angle.sin())

    def shifted(self, offset: int, reach: int) -> _Shape:
        """The shape at `offset` frames from those that lie at least `reach` frames inside."""
        here = slice(reach + offset, self.area.shape[1] - reach + offset)
        return _Shape(self.moments[:, here], self.track[:, here])

    def skewness(self) -> torch.Tensor:
        """Cube root of the third central moment along the body: is one end heavier?"""
        x, y = self.x, self.y
        xx, xy, yy, xxx, xxy, xyy, yyy = (self.moments[..., i] / self.area for i in range(3, 10))
        c30, c03 = xxx - 3 * x * xx + 2 * x**3, yyy - 3 * y * yy + 2 * y**3
        c21 = xxy - 2 * x * xy - y * xx + 2 * x**2 * y
        c12 = xyy - 2 * y * xy - x * yy + 2 * x * y**2
        cos, sin = self.along
        third = c30 * cos**3 + 3 * c21 * cos**2 * sin + 3 * c12 * cos * sin**2 + c03 * sin**3
        return third.abs().clamp(min=1e-9) ** (1 / 3)

    def change(self, lag: int, reach: int) -> list[torch.Tensor]:
        """Turning (signed and not), speed, and change of length and area over `2 lag` frames."""
        past, future, now = (
            self.shifted(-lag, reach),
            self.shifted(lag, reach),
            self.shifted(0, reach),
        )
        turn = (past.cos2 * future.sin2 - past.sin2 * future.cos2) * now.eccentricity
        way = future.position - past.position
        speed = ((way**2).sum(-1) + 1e-12).sqrt() * (5 / lag)
        longer = (future.length - past.length).abs()
        larger = (future.area.log() - past.area.log()).abs()
        return [turn, turn.abs(), speed.clamp(max=3), longer, larger]

    @property
    def position(self) -> torch.Tensor:
        """In the cage, in sides of the crop: the crop's center plus the body's in the crop."""
        return self.track + torch.stack([self.x, self.y], -1) / 2


def _where(moments: torch.Tensor, inside: torch.Tensor, shape: _Shape) -> list[torch.Tensor]:
    """Where something moves: on the body, amid the crop, on its rim; how far from the body's center and how widely."""
    amount = moments[..., 0] + 3 * _LITTLE
    x, y = moments[..., 1] / amount, moments[..., 2] / amount
    xx = moments[..., 3] / amount - x**2
    xy = moments[..., 4] / amount - x * y
    yy = moments[..., 5] / amount - y**2
    cos, sin = shape.along
    dx, dy = x - shape.x, y - shape.y
    return [
        inside / amount,
        moments[..., 10] / amount,
        moments[..., 11] / amount,
        (dx * cos + dy * sin).abs(),
        (dx * sin - dy * cos).abs(),
        (xx * cos**2 + 2 * xy * cos * sin + yy * sin**2).clamp(min=1e-6).sqrt(),
        (xx * sin**2 - 2 * xy * cos * sin + yy * cos**2).clamp(min=1e-6).sqrt(),
    ]


def _basis(height: int, width: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """`(height * width, 12)`: monomials in x and y on a disc, then its core and its rim; means, not sums."""
    y = torch.linspace(-1, 1, height, device=device, dtype=dtype)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=device, dtype=dtype)[None].expand(height, width)
    radius = (x**2 + y**2).sqrt()
    disc = (radius < 0.9).to(dtype)
    maps = [disc * x**i * y**j for i, j in _POWERS]
    maps += [(radius < 0.25).to(dtype), ((radius > 0.5) & (radius < 0.9)).to(dtype)]
    return torch.stack([m.flatten() for m in maps], 1) / disc.sum()


def _shrunk(maps: torch.Tensor) -> torch.Tensor:
    """Block means that leave a side of about `_SIDE`; sums of slices are several times faster than pooling."""
    factor = max(1, round(maps.shape[-1] / _SIDE))
    if factor == 1:
        return maps
    height, width = (side // factor * factor for side in maps.shape[-2:])
    rows = maps[..., 0:height:factor, :width]
    for i in range(1, factor):
        rows = rows + maps[..., i:height:factor, :width]
    blocks = rows[..., ::factor]
    for i in range(1, factor):
        blocks = blocks + rows[..., i::factor]
    return blocks / factor**2
