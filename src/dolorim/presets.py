"""The approaches, as values. Each is a composition of the same parts."""

from __future__ import annotations

import dataclasses

from dolorim.config import Config

VIDEO = Config(approach="video")

PRESETS = {"video": VIDEO}

# Small and quick, for the simulated study: it shows that everything works, not how well.
DEMO = dataclasses.replace(VIDEO, data=dataclasses.replace(VIDEO.data, image_size=64))
