"""Shape and motion in numbers, frame by frame, from `Maps`.

How long and how curled the body is, how fast it goes and turns, where on it and how quickly
something moves. Nothing here depends on the animal's heading or coat. All are moments of the maps,
so one matrix product computes them: with few animals such numbers generalize better than anything
learned from pixels (benchmarks/results/bottomview.md).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dolorim.models.motion_maps import Maps

_SIDE = 64  # pixels; maps are shrunk to about this side first
_LITTLE = 1e-3  # added before a logarithm or a division, in units of the mean over the disc

# Powers of x and y of the moments up to third order; columns of `_basis`, before its core and rim.
_POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
_CORE, _RIM = 10, 11


class ShapeFeatures(nn.Module):
    """Maps and crop centers `(batch, time, 2)` to `(batch, time - 2 * reach, width)` features.

    Lengths are in half sides of the crop, speeds in tenths of a side per frame; the amounts of
    motion are logarithms.
    """

    def __init__(self, lags: tuple[int, ...]) -> None:
        super().__init__()
        self.lags = lags
        self.width = 5 + 14 * len(lags) + (2 if lags else 0)

    def forward(self, maps: Maps, crop_centers: torch.Tensor) -> torch.Tensor:
        picture = _shrunk(maps.picture)
        height, width = picture.shape[2:]
        basis = _basis(height, width, picture.device, picture.dtype)
        disc = basis[:, 0]
        body = F.avg_pool2d((picture.abs() - 0.3).clamp(0, 1), 3, 1, 1)
        shape = _Shape(body.flatten(2) @ basis, crop_centers)
        now = shape.shifted(0, maps.reach)
        inner_body = body[:, maps.reach : body.shape[1] - maps.reach]
        # The weights of a run go by this order of the features.
        features = [now.area.log(), now.length, now.width, now.eccentricity, now.skewness()]
        amounts = []
        for motion in map(_shrunk, maps.motion):
            moments = motion.flatten(2) @ basis
            on_body = (motion * inner_body).flatten(2) @ disc
            amounts.append((moments[..., 0] + _LITTLE).log())
            features += [amounts[-1], *_motion_places(moments, on_body, now)]
            features.append((motion > 0).to(basis.dtype).flatten(2) @ disc)
        for lag in self.lags:
            features += shape.change(lag, maps.reach)
        if self.lags:
            flicker = (_shrunk(maps.flicker).flatten(2) @ disc + _LITTLE).log()
            features += [flicker - amounts[0], amounts[0] - amounts[-1]]
        return torch.stack(features, -1)


class _Shape:
    """The body as an ellipse, from the moments `(batch, time, basis)` of its silhouette."""

    def __init__(self, moments: torch.Tensor, crop_centers: torch.Tensor) -> None:
        self.moments, self.crop_centers = moments, crop_centers
        self.area = moments[..., 0] + _LITTLE
        self.x, self.y, xx, xy, yy = _center_and_spread(moments, self.area)
        # Half the difference and half the sum of the covariance's eigenvalues give the axes.
        half, mean = (xx - yy) / 2, (xx + yy) / 2
        spread = (half**2 + xy**2 + 1e-10).sqrt()
        self.length = (mean + spread).clamp(min=1e-5).sqrt()
        self.width = (mean - spread).clamp(min=1e-5).sqrt()
        self.eccentricity = spread / mean.clamp(min=1e-4)
        # Cosine and sine of twice the angle, because an ellipse has no front.
        self.cos2, self.sin2 = half / spread, xy / spread
        angle = torch.atan2(self.sin2, self.cos2) / 2
        self.along = (angle.cos(), angle.sin())

    def shifted(self, offset: int, reach: int) -> _Shape:
        """The shape at `offset` frames from the frames that are at least `reach` frames inside."""
        here = slice(reach + offset, self.area.shape[1] - reach + offset)
        return _Shape(self.moments[:, here], self.crop_centers[:, here])

    def skewness(self) -> torch.Tensor:
        """Cube root of the third central moment along the body: is one end heavier?"""
        x, y = self.x, self.y
        xx, xy, yy, xxx, xxy, xyy, yyy = (self.moments[..., i] / self.area for i in range(3, 10))
        # Raw moments to central ones, then along the body's axis.
        c30 = xxx - 3 * x * xx + 2 * x**3
        c21 = xxy - 2 * x * xy - y * xx + 2 * x**2 * y
        c12 = xyy - 2 * y * xy - x * yy + 2 * x * y**2
        c03 = yyy - 3 * y * yy + 2 * y**3
        cos, sin = self.along
        third = c30 * cos**3 + 3 * c21 * cos**2 * sin + 3 * c12 * cos * sin**2 + c03 * sin**3
        return third.abs().clamp(min=1e-9) ** (1 / 3)

    def change(self, lag: int, reach: int) -> list[torch.Tensor]:
        """Turning (signed and not), speed, and change of length and area over `2 * lag` frames."""
        past, now, future = (self.shifted(offset, reach) for offset in (-lag, 0, lag))
        # Sine of twice the angle between the axes; a round body has no axis, so it counts less.
        turn = (past.cos2 * future.sin2 - past.sin2 * future.cos2) * now.eccentricity
        way = future.position - past.position
        speed = ((way**2).sum(-1) + 1e-12).sqrt() * (5 / lag)
        longer = (future.length - past.length).abs()
        larger = (future.area.log() - past.area.log()).abs()
        return [turn, turn.abs(), speed.clamp(max=3), longer, larger]

    @property
    def position(self) -> torch.Tensor:
        """In the cage, in sides of the crop: the crop's center plus the body's in the crop."""
        return self.crop_centers + torch.stack([self.x, self.y], -1) / 2


def _center_and_spread(moments: torch.Tensor, total: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Mean x and y, and the covariances xx, xy, yy, of what the moments are of."""
    x, y = moments[..., 1] / total, moments[..., 2] / total
    xx = moments[..., 3] / total - x**2
    xy = moments[..., 4] / total - x * y
    yy = moments[..., 5] / total - y**2
    return x, y, xx, xy, yy


def _motion_places(
    moments: torch.Tensor, on_body: torch.Tensor, shape: _Shape
) -> list[torch.Tensor]:
    """Where something moves.

    Shares on the body, in the core of the crop and on its rim; distance from the body's center and
    spread, each along and across the body.
    """
    amount = moments[..., 0] + 3 * _LITTLE
    x, y, xx, xy, yy = _center_and_spread(moments, amount)
    cos, sin = shape.along
    dx, dy = x - shape.x, y - shape.y
    return [
        on_body / amount,
        moments[..., _CORE] / amount,
        moments[..., _RIM] / amount,
        (dx * cos + dy * sin).abs(),
        (dx * sin - dy * cos).abs(),
        (xx * cos**2 + 2 * xy * cos * sin + yy * sin**2).clamp(min=1e-6).sqrt(),
        (xx * sin**2 - 2 * xy * cos * sin + yy * cos**2).clamp(min=1e-6).sqrt(),
    ]


def _basis(height: int, width: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Monomials in x and y on a disc, then its core and its rim: `(height * width, 12)`.

    They are divided by the disc's area, so that products with them are means and not sums.
    """
    y = torch.linspace(-1, 1, height, device=device, dtype=dtype)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=device, dtype=dtype)[None].expand(height, width)
    radius = (x**2 + y**2).sqrt()
    disc = (radius < 0.9).to(dtype)
    maps = [disc * x**i * y**j for i, j in _POWERS]
    maps += [(radius < 0.25).to(dtype), ((radius > 0.5) & (radius < 0.9)).to(dtype)]
    return torch.stack([m.flatten() for m in maps], 1) / disc.sum()


def _shrunk(maps: torch.Tensor) -> torch.Tensor:
    """Means of blocks that leave a side of about `_SIDE` pixels."""
    factor = max(1, round(int(maps.shape[-1]) / _SIDE))
    if factor == 1:
        return maps
    height, width = (side // factor * factor for side in maps.shape[-2:])
    # Sums of slices, because they are several times faster than pooling.
    rows = maps[..., 0:height:factor, :width]
    for i in range(1, factor):
        rows = rows + maps[..., i:height:factor, :width]
    blocks = rows[..., ::factor]
    for i in range(1, factor):
        blocks = blocks + rows[..., i::factor]
    return blocks / factor**2
