"""The door to a video: open it, and get the pictures that the network looks at."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.stopwatch import Stopwatch
from dolorim.core.workers import usual_workers
from dolorim.video.crop import CropPlan, Crops, crop_frames, crop_period, plan_crop
from dolorim.video.frame_times import packets_of
from dolorim.video.picture_size import PictureSize
from dolorim.video.prefetch import prefetch
from dolorim.video.random_access import DisagreementError, FrameSpan
from dolorim.video.reader import Frame, FrameStream, VideoInfo, probe
from dolorim.video.time_grid import TimeGrid

_FRAMES_AHEAD = 64  # decoded frames that may wait to be cropped
_BLOCKS_AHEAD = 4  # blocks of crops that may wait for the network
_THREADS = (
    3  # the network, cropping and decoding: with fewer cores, decoding gets no thread of its own
)


@dataclass(frozen=True)
class CropStream(Iterable[Crops]):
    """The crops of one recording in blocks of consecutive frames, to be iterated once.

    `first_frame` is the index of the first crop. `damage` and `sizes` are final when the iteration
    has ended. `stopwatch` gets the seconds spent on decoding, on cropping and on waiting.
    """

    info: VideoInfo
    plan: CropPlan
    frames: FrameStream | FrameSpan
    first_frame: int
    blocks: Iterator[Crops]
    stopwatch: Stopwatch

    def __iter__(self) -> Iterator[Crops]:
        return self.blocks

    @property
    def side_px(self) -> float:
        """Side of the crop window, in pixels of the video."""
        return self.plan.side_px

    @property
    def damage(self) -> str | None:
        """Where and why decoding stopped early; None for a video that decodes to its end."""
        return str(self.frames.damage) if self.frames.damage else None

    @property
    def sizes(self) -> tuple[PictureSize, ...]:
        """The picture sizes that occurred, each with its first frame; one, except in odd files."""
        return tuple(self.frames.sizes)


def open_crops(
    video: Path,
    config: DataConfig,
    pose: Path | None = None,
    *,
    span: tuple[int, int | None] | None = None,
    prefetched: bool = True,
    stopwatch: Stopwatch | None = None,
) -> CropStream:
    """Open a video and plan its crop window; decoding starts when the stream is iterated.

    With `span` `(start, stop)`, the stream starts at frame `start` without decoding the whole video
    before it, and the crops of `[start, stop)` equal those of the full stream; some frames beyond
    `stop` may follow. With `prefetched`, decoding and cropping run in threads of their own, ahead
    of the consumer.

    Raises `UserError` if the video cannot be read, and `DisagreementError` if a span of it cannot
    be reached reliably.
    """
    stopwatch = Stopwatch() if stopwatch is None else stopwatch
    info = probe(video)
    with stopwatch.on("localize and crop"):
        plan = plan_crop(video, config, info, pose)
    if span is None:
        [stream] = cut_together(video, info, [plan], prefetched=prefetched, stopwatch=stopwatch)
        return stream
    packets = packets_of(video)
    if packets is None:
        raise DisagreementError
    start, stop = span
    period, reach = crop_period(plan)
    # Crops equal those of the full stream one period after a multiple of the period.
    first_decoded = max(0, (start - period) // period * period)
    frames = FrameSpan(video, packets, first_decoded, None if stop is None else stop + reach)
    cropped = _cropped(frames, [plan], first_decoded, stopwatch, prefetched)
    blocks = _from_frame((block for [block] in cropped), start)
    return CropStream(info, plan, frames, start, blocks, stopwatch)


def cut_together(
    video: Path,
    info: VideoInfo,
    plans: Sequence[CropPlan],
    *,
    prefetched: bool = True,
    stopwatch: Stopwatch | None = None,
) -> list[CropStream]:
    """A stream for each of several plans, such as those of chambers, in one pass over the video.

    The streams must be read side by side: what one has read and another has not is kept in memory.
    The plans must be of one kind, that is made with the same `crop` setting.
    """
    stopwatch = Stopwatch() if stopwatch is None else stopwatch
    frames = FrameStream(video)
    cropped = _cropped(frames, plans, 0, stopwatch, prefetched)
    streams = []
    for i, copy in enumerate(itertools.tee(cropped, len(plans))):
        blocks = map(operator.itemgetter(i), copy)
        streams.append(CropStream(info, plans[i], frames, 0, blocks, stopwatch))
    return streams


def _cropped(
    frames: FrameStream | FrameSpan,
    plans: Sequence[CropPlan],
    first_decoded: int,
    clock: Stopwatch,
    prefetched: bool,
) -> Iterator[tuple[Crops, ...]]:
    """Blocks of the same frames for each plan, from frame `first_decoded` on."""
    decoded: Iterator[Frame] = clock.each("decode", frames)
    waiting_for_frames = "decode"
    if prefetched and usual_workers() >= _THREADS:
        waiting_for_frames = "waiting for frames"
        decoded = clock.each(waiting_for_frames, prefetch(decoded, _FRAMES_AHEAD))
    # Plans of one kind take the same number of frames at a time, so that few frames wait.
    copies = itertools.tee(decoded, len(plans))
    each = [
        crop_frames(copy, plan, first_decoded) for copy, plan in zip(copies, plans, strict=True)
    ]
    blocks = clock.each("localize and crop", zip(*each, strict=True))
    if prefetched:
        blocks = clock.each("waiting for pictures", prefetch(blocks, _BLOCKS_AHEAD))
    yield from blocks
    # Cropping pulls the frames, so the time it took includes the wait for them.
    clock.add("localize and crop", -clock[waiting_for_frames])


def _from_frame(blocks: Iterable[Crops], frame: int) -> Iterator[Crops]:
    """The same blocks without the crops before a frame."""
    for block in blocks:
        if block.start + len(block.images) > frame:
            yield block.skip(max(0, frame - block.start))


def crops_on_grid(blocks: Iterable[Crops], grid: TimeGrid) -> Iterator[Crops]:
    """The crops that the steps of a grid show, block by block; frames are left out or repeated."""
    for block in blocks:
        first, last = grid.span(block.start, block.start + len(block.images))
        shown = grid.frames[first:last] - block.start
        yield Crops(
            first,
            block.images[shown],
            block.centers[shown],
            grid.time_s[first:last],
            block.angles_rad[shown],
        )
