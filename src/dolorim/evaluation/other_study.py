"""How a run reads another study: as its own, but for where files are and what their names mean."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dolorim.config import STUDY_FILES, Config, DataConfig
from dolorim.dataset.study import in_study_folder, with_study_files
from dolorim.inference.run_folder import RunFolder
from dolorim.presets import with_settings

# Settings that describe one study's files, so that a run's own say nothing about another study.
_ABOUT_ONE_STUDY = (
    *STUDY_FILES,
    "cache",
    "label_format",
    "label_stream",
    "label_observation",
    "label_counts_from",
    "label_origin",
    "label_step",
)


def data_of_other_study(
    run: RunFolder, folder: Path | None, settings: dict[str, Any], classes: Path | None = None
) -> DataConfig:
    """A run's settings for the data of another study, in a `folder` or where `settings` say.

    Without an ethogram of its own, the study has that of `classes`, otherwise of the run. Raises
    `UserError` for an unknown setting, and for a folder that does not exist.
    """
    config, usual = run.read_config(), Config().data
    reset = {name: getattr(usual, name) for name in _ABOUT_ONE_STUDY}
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **reset))
    data = with_settings(config, settings).data
    data = with_study_files(data) if folder is None else in_study_folder(folder, data)
    ethogram = data.classes or classes or run.path / "ethogram.toml"
    return dataclasses.replace(data, classes=ethogram)
