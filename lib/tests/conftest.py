"""What the tests share."""

import gc
import os
import sys

import pytest

from medinstruct import paths

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # threads that wait leave the processor to the other worker
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # beside other workers a second thread would only wait for the processor
    os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = "pipeline training jupyterlab serving preferences smollm2 run trouble faults profiles"
LONGEST += " reruns benchmarks environment folders"
LOADED = pytest.StashKey()  # modules at the last freeze


def pytest_collection_modifyitems(items):
    """Run the longest files first, so that no worker waits for one at the end."""
    place = {f"test_{name}.py": n for n, name in enumerate(LONGEST.split())}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_runtest_call(item):
    """Keep packages out of garbage collections: a training asks for four, of a second each."""
    if len(sys.modules) > item.config.stash.get(LOADED, 0) + 300:
        item.config.stash[LOADED] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture
def no_kernels(monkeypatch):
    """Notebooks run in this process: for tests of what the runner does around them."""
    from support import in_process

    in_process.instead_of_kernels(monkeypatch)


@pytest.fixture
def real_data():
    """The folder with published data; a test that needs it is skipped where it is not."""
    folder = paths.root().parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the published data is not beside the repository")
    return folder
