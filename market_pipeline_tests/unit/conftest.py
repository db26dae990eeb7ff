"""Unit tests: no database, no server, no other process; `make test-fast` runs them alone."""

import pytest


@pytest.fixture(scope="session")
def server() -> None:
    """Fail a test that uses a database: it belongs to the integration tests."""
    pytest.fail("a unit test has no database: move it to market_pipeline_tests/integration")
