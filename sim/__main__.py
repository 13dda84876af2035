"""``python -m sim`` is ``svs-sim``."""

import sys

from sim.cli import main

sys.exit(main())
