"""medinstruct: medical instruction-following models, in notebooks and a thin library."""

import os
from importlib import metadata

__version__ = metadata.version("medinstruct")  # as pyproject.toml states it
# Threads of OpenMP that spin for long double the time of torch on a busy machine.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
