"""`python -m dolorim`."""

import sys

from dolorim.cli import main

sys.exit(main())
