"""The door to a video: open it, and get the pictures that the network looks at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    """The crops of one video in blocks of consecutive frames, to be iterated once.

    `first_frame` is the index of the first crop. `damage` and `sizes` are final when the iteration
    has ended. `stopwatch` gets the seconds spent on decoding, on cropping and on waiting.
    """

    info: VideoInfo
    plan: CropPlan
    frames: FrameStream | FrameSpan
    first_frame: int
    first_decoded: int
    stopwatch: Stopwatch
    prefetched: bool

    def __iter__(self) -> Iterator[Crops]:
        clock = self.stopwatch
        frames: Iterator[Frame] = clock.each("decode", self.frames)
        waiting_for_frames = "decode"
        if self.prefetched and usual_workers() >= _THREADS:
            waiting_for_frames = "waiting for frames"
            frames = clock.each(waiting_for_frames, prefetch(frames, _FRAMES_AHEAD))
        cropped = crop_frames(frames, self.plan, self.first_decoded)
        blocks = _from_frame(clock.each("localize and crop", cropped), self.first_frame)
        if self.prefetched:
            blocks = clock.each("waiting for pictures", prefetch(blocks, _BLOCKS_AHEAD))
        yield from blocks
        # Cropping pulls the frames, so the time it took includes the wait for them.
        clock.add("localize and crop", -clock[waiting_for_frames])

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
        return CropStream(info, plan, FrameStream(video), 0, 0, stopwatch, prefetched)
    packets = packets_of(video)
    if packets is None:
        raise DisagreementError
    start, stop = span
    period, reach = crop_period(plan)
    # Crops equal those of the full stream one period after a multiple of the period.
    first_decoded = max(0, (start - period) // period * period)
    frames = FrameSpan(video, packets, first_decoded, None if stop is None else stop + reach)
    return CropStream(info, plan, frames, start, first_decoded, stopwatch, prefetched)


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
