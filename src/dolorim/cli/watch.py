"""`dolorim watch`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from dolorim.cli.common import check_targets, parse, set_verbosity, wait_politely
from dolorim.core.errors import UserError


@dataclass(frozen=True)
class _Watch:
    """Label a camera live, and send onsets and offsets of behaviors as JSON lines."""

    run: tyro.conf.Positional[Path]
    """Run folder, or a file that `dolorim share` has written."""
    camera: str
    """Number of a camera (0), an address (rtsp://...), or a video file, played at its own rate."""
    tcp: str | None = None
    """HOST:PORT to listen on: events go to programs that connect, not to standard output."""
    debounce_ms: float = 100.0
    """How long a behavior must last before its onset is sent."""
    labels: bool = False
    """Send the label of every frame, too."""
    step: int = 2
    """Frames that are decided at a time: fewer answer sooner, more take less computing."""
    warm_up_s: float = 3.0
    """Seconds at the start during which only the scene is learned."""
    seconds: float | None = None
    """Stop after so many seconds; without it, at the end of the stream or with Ctrl-C."""
    body_length_px: float | None = None
    """Body length in pixels, where the camera is not that of the run."""
    quiet: bool = False
    """Print warnings and errors only."""


def run(arguments: list[str]) -> int:
    """`dolorim watch RUN --camera 0`"""
    given = parse(_Watch, arguments, "dolorim watch")
    check_targets(given)
    if given.step < 1 or given.warm_up_s < 0 or given.debounce_ms < 0:
        raise UserError("--step is at least 1, and --warm_up_s and --debounce_ms at least 0")
    wait_politely()
    from dolorim import api
    from dolorim.inference.event_stream import EventStream
    from dolorim.inference.live import Watch, WatchOptions
    from dolorim.video.live_frames import LiveSource

    set_verbosity(given.quiet)
    folder = api.load_run(given.run).folder
    source = LiveSource(given.camera, given.seconds)
    options = WatchOptions(
        step=given.step,
        debounce_s=given.debounce_ms / 1000,
        warm_up_s=given.warm_up_s,
        every_label=given.labels,
        body_length_px=given.body_length_px,
    )
    watch = Watch(folder, source, options)
    with EventStream(given.tcp) as stream:
        if not given.quiet:
            print(_told(watch.look_ahead, given.tcp), file=sys.stderr)
        summary = watch.run(stream.send)
    latency = summary["latency_ms"]
    if not given.quiet:
        print(
            f"{summary['frames']:,} frames labeled, {summary['dropped']:,} dropped; "
            f"from frame to label {latency['p50']} ms (median), {latency['p99']} ms (99 %)",
            file=sys.stderr,
        )
    return 0


def _told(look_ahead: int, tcp: str | None) -> str:
    where = "standard output" if tcp is None else tcp
    return (
        f"events go to {where}; each label waits for the {look_ahead} frames after it; Ctrl-C stops"
    )
