"""Moved to `dolorim.files.naming`, which this is another name of until nothing imports it from here."""

import sys

from dolorim.files import naming

sys.modules[__name__] = naming
