"""Moved to `dolorim.files.table`, which this is another name of until nothing imports it from here."""

import sys

from dolorim.files import table

sys.modules[__name__] = table
