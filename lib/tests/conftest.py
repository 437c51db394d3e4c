"""What the tests share."""

import pytest

from medinstruct import paths


@pytest.fixture
def real_data():
    """The folder with published data; a test that needs it is skipped where it is not."""
    folder = paths.root().parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the published data is not beside the repository")
    return folder
