"""Fixtures of several files: a Dagster instance on the test's warehouse, and receivers of alerts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from market_pipeline.core.settings import Settings
from market_pipeline_tests.receivers import Mailbox, Receiver, running_mail_server, running_receiver

if TYPE_CHECKING:
    from dagster import DagsterInstance


@pytest.fixture
def instance(settings: Settings, environment: dict[str, str]) -> Iterator["DagsterInstance"]:
    """Dagster's instance on this test's warehouse."""
    from market_pipeline.orchestration.run_launch import open_instance  # Dagster, which few tests need

    with open_instance(settings) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook that records alerts."""
    with running_receiver() as running:
        yield running


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server that records mails."""
    with running_mail_server() as running:
        yield running
