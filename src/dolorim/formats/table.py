"""Moved to `dolorim.files.table`; kept until nothing imports it from here."""

from dolorim.files.table import *  # noqa: F403
