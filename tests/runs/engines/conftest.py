"""One Ray for all tests that need a real one."""

import pytest

from tests.runs.engines.ray_here import ray_here


@pytest.fixture(scope="session")
def address():
    """Of the dashboard of a Ray of two nodes."""
    with ray_here() as found:
        yield found
