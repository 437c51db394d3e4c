"""medinstruct: medical instruction-following models, in notebooks and a thin library."""

import os

__version__ = "0.1.0"
# Threads of OpenMP that spin for long double the time of torch on a busy machine.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
