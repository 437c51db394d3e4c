"""medinstruct: medical instruction-following models, in notebooks and a thin library."""

__version__ = "0.1.0"
