"""Moved to `dolorim.files.naming`; kept until nothing imports it from here."""

from dolorim.files.naming import *  # noqa: F403
