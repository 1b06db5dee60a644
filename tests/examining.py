"""The check of one recording, for tests."""

from __future__ import annotations

from pathlib import Path

from dolorim.checks.recordings import Examined, examine_together
from dolorim.config import DataConfig
from dolorim.video.cache import Cropping


def examine(video: Path | None, pose: Path | None, config: DataConfig) -> Examined:
    """What the check says about the files of one recording."""
    [examined] = examine_together(video, [Cropping(config, pose)])
    return examined
