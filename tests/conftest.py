"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that use it carry the marker ``realdata``."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not here: {SHARED_DATA}")
    return SHARED_DATA
