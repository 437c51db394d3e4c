"""The comparison of an export with its run, lib/benchmarks/parity.py, as a module."""

import importlib.util

from medinstruct import paths

_spec = importlib.util.spec_from_file_location("parity", paths.root() / "lib/benchmarks/parity.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({k: v for k, v in vars(_module).items() if not k.startswith("__")})
