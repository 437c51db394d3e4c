"""medinstruct: medical instruction-following models the AlpaCare way, in eleven notebooks and a thin library."""

__version__ = "0.1.0"
