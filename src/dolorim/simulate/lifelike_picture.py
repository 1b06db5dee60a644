"""A simulated mouse that looks more like one: belly, toes, fur, walls and their reflections.

It is drawn straight into follow crops, because only the starter encoder looks at it. The fur is a
texture that moves and bends with the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dolorim.simulate.mouse import Motion, Mouse, spine_of

_TEXTURE = 64  # texels per body length
_WIDTH_AT = ([0, 0.2, 0.5, 0.78, 0.92, 1], [0.09, 0.16, 0.175, 0.125, 0.075, 0.03])
_DISCS = 14  # of the trunk
_TOES = np.array([-0.8, -0.27, 0.27, 0.8])  # radians, from the direction of the foot
_SMOOTH_S = 0.35  # of the path that the window follows


@dataclass(frozen=True)
class Looks:
    """What an animal and its room look like; gray levels, and lengths in body lengths.

    `fatness` widens the body, `stance` how far apart its feet are. `fur` `(length, width)` is a
    texture around 0, `belly` how much lighter the middle is. `room` holds gray levels, `texel` of
    them per body length. `blur` is in pixels.
    """

    coat: float
    paw: float
    belly: float
    fatness: float
    fur: np.ndarray
    room: np.ndarray
    texel: float
    wall: float
    reflection: float
    foot: float
    stance: float
    blur: float
    noise: float


def draw_looks(mouse: Mouse, size_px: int, rng: np.random.Generator) -> Looks:
    """Draw the looks of one animal in a room of `size_px`, for a mouse of `length_px`."""
    coarse = ndimage.gaussian_filter(rng.normal(size=(2 * _TEXTURE, _TEXTURE)), rng.uniform(2, 5))
    fine = ndimage.gaussian_filter(rng.normal(size=(2 * _TEXTURE, _TEXTURE)), (1.5, 0.6))
    fur = coarse / coarse.std() * rng.uniform(1, 9) + fine / fine.std() * rng.uniform(0, 3)
    dark = rng.random() < 0.5
    coat = rng.uniform(25, 60) if dark else rng.uniform(60, 130)
    floor = rng.uniform(75, 170)
    if rng.random() < 0.25:  # infrared: a dark floor
        floor = rng.uniform(15, 50)
        coat = floor + rng.uniform(20, 70)
    wall = rng.uniform(0.35, 0.7)
    texel = 24.0
    room = _draw_room(size_px / mouse.length_px, texel, floor, wall, rng)
    return Looks(
        coat=coat,
        paw=min(240.0, max(coat, floor) + rng.uniform(25, 110)),
        belly=rng.uniform(-5, 45) if rng.random() < 0.6 else 0.0,
        fatness=rng.uniform(0.9, 1.7),
        fur=fur.astype(np.float32),
        room=room,
        texel=texel,
        wall=wall,
        reflection=rng.uniform(0, 0.35),
        foot=rng.uniform(0.8, 1.25),
        stance=rng.uniform(0.6, 1.1),
        blur=rng.uniform(0.5, 1.3),
        noise=rng.uniform(0, 1.2),
    )


def _draw_room(
    side: float, texel: float, floor: float, wall: float, rng: np.random.Generator
) -> np.ndarray:
    """The empty room, `side` body lengths wide: light, scratches, droppings, bright wall edges."""
    size = round(side * texel)
    y, x = np.mgrid[:size, :size].astype(np.float32) / texel
    slopes = rng.uniform(-0.06, 0.06, 2)
    room = floor * (1 + slopes[0] * (x - side / 2) + slopes[1] * (y - side / 2))
    for _ in range(int(rng.integers(2, 9))):  # scratches
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-side / 2, side / 2)
        away = (x - side / 2) * np.cos(angle) + (y - side / 2) * np.sin(angle) - offset
        room += rng.uniform(-25, 40) * (np.abs(away) < rng.uniform(0.01, 0.03))
    for _ in range(int(rng.integers(0, 12))):  # droppings and drops
        dx, dy = x - rng.uniform(0, side), y - rng.uniform(0, side)
        inside = dx**2 + dy**2 < rng.uniform(0.02, 0.06) ** 2
        room = np.where(inside, room + rng.uniform(-50, 40), room)
    edge = np.minimum(np.minimum(x, side - x), np.minimum(y, side - y))
    stripes = rng.normal(size=64) * rng.uniform(5, 60) + rng.uniform(-30, 60)
    at = (edge / wall * 63).clip(0, 63).astype(int)
    room = np.where(edge < wall, room + stripes[at], room)
    return ndimage.gaussian_filter(room, 0.6).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """Where the window is: `centers` `(time, 2)` in body lengths, `side_px` wide.

    `scale` is in pixels per body length.
    """

    centers: np.ndarray
    scale: float
    side_px: int


def follow(
    motion: Motion, mouse: Mouse, rate_hz: float, scale: float, side_px: int, error: np.ndarray
) -> Camera:
    """A window that follows the body as a localizer would: smoothly, and off by `error` `(2,)`."""
    path = motion.center / mouse.length_px
    smooth = ndimage.gaussian_filter1d(path, _SMOOTH_S * rate_hz, axis=0, mode="nearest")
    return Camera(smooth + error, scale, side_px)


def picture(
    motion: Motion,
    mouse: Mouse,
    looks: Looks,
    camera: Camera,
    frame: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The window `(side_px, side_px)` float32, gray levels from 0 to 255, at one frame."""
    heading = float(motion.heading[frame])
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, sin], [-sin, cos]])  # rows of body coordinates to the room's
    here = motion.center[frame] / mouse.length_px
    moment = motion.at(slice(frame, frame + 1))
    spine = spine_of(moment)[0] @ turn + here
    trunk = _Trunk.along_spine(spine, float(motion.stretch[frame]), looks.fatness)
    canvas = _Canvas(camera, frame, looks)
    if looks.reflection > 0.05:
        canvas.draw_reflection(trunk, looks)
    _draw_tail(canvas, spine, looks, heading)
    canvas.draw_trunk(trunk, looks)
    _draw_paws(canvas, moment, turn, here, looks)
    mouth = spine[-1] + motion.mouth_shift[frame] @ turn
    canvas.disc(mouth, 0.03, 0.5 * (looks.coat + looks.paw), 0.8)
    pixels = ndimage.gaussian_filter(canvas.pixels, looks.blur)
    pixels += looks.noise * rng.standard_normal(pixels.shape, np.float32)
    return pixels.clip(0, 255)


@dataclass(frozen=True)
class _Trunk:
    """The trunk as discs from tail base to snout, in the room: `at` and `along` `(discs, 2)`.

    `along` are unit vectors to the front, `s` `(discs,)` the distance from the tail base along the
    unbent body and `radii` `(discs,)`.
    """

    at: np.ndarray
    along: np.ndarray
    s: np.ndarray
    radii: np.ndarray

    @classmethod
    def along_spine(cls, spine: np.ndarray, stretch: float, fatness: float) -> _Trunk:
        s = np.linspace(0, 1, _DISCS)
        knots = np.linspace(0, 1, len(spine))
        at = np.stack([np.interp(s, knots, column) for column in spine.T], 1)
        along = np.gradient(at, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
        # A shorter body is a wider one, and fat sits behind the head.
        fat = 1 + (fatness - 1) * (1 - s**2)
        radii = np.interp(s, *_WIDTH_AT) * fat / np.sqrt(max(stretch, 0.3))
        return cls(at, along, s, radii)


class _Canvas:
    """The window at one frame; the empty room is in it from the start."""

    def __init__(self, camera: Camera, frame: int, looks: Looks) -> None:
        self.scale, self.size = camera.scale, camera.side_px
        self.origin = camera.centers[frame] - self.size / 2 / self.scale
        room = (self.origin + 0.5 / self.scale) * looks.texel
        step = looks.texel / self.scale
        rows = room[1] + step * np.arange(self.size)
        columns = room[0] + step * np.arange(self.size)
        self.pixels = _sampled(looks.room, rows, columns)

    def disc(self, center: np.ndarray, radius: float, level: float, alpha: float = 1.0) -> None:
        """Paint a soft disc; center and radius in body lengths."""
        patch, dx, dy = self._around(center, radius)
        patch += self._cover(dx, dy, radius, alpha) * (np.float32(level) - patch)

    def draw_trunk(self, trunk: _Trunk, looks: Looks) -> None:
        rows, columns = looks.fur.shape
        discs = zip(trunk.at, trunk.along, trunk.s, trunk.radii, strict=True)
        for at, along, s, radius in discs:
            patch, dx, dy = self._around(at, radius)
            # Where a pixel is on the body: `u` toward the head, `v` to the side.
            u = s + dx * along[0] + dy * along[1]
            v = dy * along[0] - dx * along[1]
            texel = looks.fur[
                (u * _TEXTURE).astype(int) % rows,
                (v * _TEXTURE + columns // 2).astype(int) % columns,
            ]
            middle = 1 - np.minimum((v / radius) ** 2, 1)
            shade = looks.coat * (0.8 + 0.2 * middle)
            level = (shade + looks.belly * middle + texel).astype(np.float32)
            patch += self._cover(dx, dy, radius, 1.0) * (level - patch)

    def draw_reflection(self, trunk: _Trunk, looks: Looks) -> None:
        """The trunk in the nearest wall, as in a dull mirror."""
        side = len(looks.room) / looks.texel
        x, y = trunk.at.mean(0)
        to_walls = (x - looks.wall, side - looks.wall - x, y - looks.wall, side - looks.wall - y)
        nearest = int(np.argmin(to_walls))
        if to_walls[nearest] > 0.8:  # out of the window
            return
        axis, line = nearest // 2, (looks.wall, side - looks.wall)[nearest % 2]
        mirrored = trunk.at.copy()
        mirrored[:, axis] = 2 * line - mirrored[:, axis]
        for at, radius in zip(mirrored[::2], trunk.radii[::2], strict=True):
            self.disc(at, radius, looks.coat, looks.reflection)

    def _around(
        self, center: np.ndarray, radius: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pixels around a place, and how far they are from it `(rows, 1)`, `(1, columns)`."""
        x = (float(center[0]) - float(self.origin[0])) * self.scale - 0.5
        y = (float(center[1]) - float(self.origin[1])) * self.scale - 0.5
        reach = radius * self.scale + 2
        x0, x1 = self._inside(x - reach), self._inside(x + reach + 1)
        y0, y1 = self._inside(y - reach), self._inside(y + reach + 1)
        scale = np.float32(self.scale)
        dx = (np.arange(x0, x1, dtype=np.float32)[None] - np.float32(x)) / scale
        dy = (np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(y)) / scale
        return self.pixels[y0:y1, x0:x1], dx, dy

    def _inside(self, pixel: float) -> int:
        return min(max(int(pixel), 0), self.size)

    def _cover(self, dx: np.ndarray, dy: np.ndarray, radius: float, alpha: float) -> np.ndarray:
        distance = np.sqrt(dx * dx + dy * dy)
        inside = (np.float32(radius) - distance) * np.float32(self.scale)
        cover = (inside + np.float32(0.5)).clip(0, 1)
        return cover * np.float32(alpha)


def _sampled(room: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The room at a grid of places, bilinear, its edge repeated."""
    row, column = (np.clip(v, 0, len(room) - 1.001) for v in (rows, columns))
    top, left = row.astype(int), column.astype(int)
    down, right = ((row - top)[:, None], (column - left)[None])
    upper = room[top][:, left] * (1 - right) + room[top][:, left + 1] * right
    lower = room[top + 1][:, left] * (1 - right) + room[top + 1][:, left + 1] * right
    return (upper * (1 - down) + lower * down).astype(np.float32)


def _draw_tail(canvas: _Canvas, spine: np.ndarray, looks: Looks, heading: float) -> None:
    back = spine[0] - spine[1]
    back = back / (np.linalg.norm(back) + 1e-9)
    side = np.array([-back[1], back[0]])
    for along in np.linspace(0.03, 0.75, 14):
        away = along * back + 0.16 * np.sin(4 * along + heading) * along * side
        canvas.disc(spine[0] + away, 0.03 - 0.018 * along, 0.5 * (looks.coat + looks.paw))


def _draw_paws(
    canvas: _Canvas, moment: Motion, turn: np.ndarray, here: np.ndarray, looks: Looks
) -> None:
    """Feet with toes; one that touches the floor is bright, because the camera sees its sole."""
    contact = moment.contact[0].clip(0, 1)
    for paw, (x, y) in enumerate(moment.paws[0]):
        outward = np.sign(y) * (0.5 if paw < 2 else 0.3)
        length = looks.foot * (0.05 if paw < 2 else 0.13)
        level = looks.coat + (looks.paw - looks.coat) * contact[paw]
        alpha = 0.35 + 0.65 * contact[paw]
        at = np.array([x, looks.stance * y])
        toward = np.array([np.cos(outward), np.sin(outward)])
        for share, radius in ((0.1, 0.024), (0.7, 0.03)):
            canvas.disc((at + share * length * toward) @ turn + here, radius, level, alpha)
        tip = at + 0.95 * length * toward
        for angle in outward + _TOES:
            toe = tip + 0.045 * looks.foot * np.array([np.cos(angle), np.sin(angle)])
            canvas.disc(toe @ turn + here, 0.014, level, alpha)
