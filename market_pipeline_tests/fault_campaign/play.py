"""Playing a scenario: its commands are started, and each blow falls at its moment. What is left then, `checks` sees."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.fault_campaign.scenarios import Blow, How, Measure, Moment, Scenario
from market_pipeline_tests.fault_campaign.stage import COMMAND_SECONDS, Backfill, Ended, Stage, StageError

_TO_BACKFILL = {How.KILL: signal.SIGKILL, How.TERMINATE: signal.SIGTERM}
_COUNTS: dict[Measure, tuple[str, str]] = {
    "tables": ("_dagster", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
    "events": ("_dagster", "SELECT count(*) FROM event_logs"),
    "symbols": ("", "SELECT count(*) FROM backfill_history"),
}
_BETWEEN_LOOKS = 0.005


@dataclass(frozen=True)
class Played:
    """What came of a scenario's commands, and the blows that fell before all had ended."""

    ended: Sequence[Ended]
    struck: Sequence[Blow]


class Gauge:
    """How far a scenario has got, from its beginning on. A database that isn't there, or is down, holds nothing."""

    def __init__(self, stage: Stage, database: str) -> None:
        self._stage = stage
        self._database = database
        self._began = time.monotonic()
        self._connections: dict[str, psycopg.Connection] = {}

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def reached(self, moment: Moment) -> bool:
        """Whether it has got that far."""
        far = self.seconds if moment.measure == "seconds" else self._count(*_COUNTS[moment.measure])
        return far >= moment.amount

    def close(self) -> None:
        """Close its connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _count(self, suffix: str, query: str) -> int:
        try:
            if suffix not in self._connections:
                address = self._stage.server.url(f"{self._database}{suffix}").get_secret_value()
                self._connections[suffix] = psycopg.connect(address, autocommit=True)
            [(count,)] = self._connections[suffix].execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return 0
        except psycopg.Error:
            self.close()
            return 0
        return int(count)


class Play:
    """One scenario under way: the commands started so far, the blows that fell, and those that are still to come."""

    def __init__(self, stage: Stage, database: str, scenario: Scenario, vendor: str) -> None:
        self._stage = stage
        self._database = database
        self._vendor = vendor
        self._to_start = list(scenario.commands)
        self._to_fall = list(scenario.blows)
        self._gauge = Gauge(stage, database)
        self._backfills: list[Backfill] = []
        self._struck: list[Blow] = []

    def to_its_end(self) -> Played:
        """Start and strike until all commands have ended.

        Raises:
            StageError: one takes too long.
        """
        while self._to_start or any(backfill.under_way for backfill in self._backfills):
            if self._gauge.seconds > COMMAND_SECONDS:
                raise StageError(f"a disturbed backfill has not ended after {COMMAND_SECONDS} seconds")
            if self._to_start and self._gauge.seconds >= self._to_start[0].after:
                self._backfills.append(self._stage.start(self._to_start.pop(0), self._database, self._vendor))
            for blow in [blow for blow in self._to_fall if self._gauge.reached(blow.when)]:
                self._strike(blow)
            time.sleep(_BETWEEN_LOOKS)
        return Played([backfill.wait(0) for backfill in self._backfills], self._struck)

    def close(self) -> None:
        """End what has not ended."""
        self._gauge.close()
        for backfill in self._backfills:
            backfill.end()

    def _strike(self, blow: Blow) -> None:
        if blow.how in _TO_BACKFILL:
            if blow.command >= len(self._backfills):
                return  # it falls as soon as there is somebody to hit
            if self._backfills[blow.command].under_way:
                self._backfills[blow.command].send(_TO_BACKFILL[blow.how])
                self._struck.append(blow)
        else:
            self._stage.restart(blow.how)
            self._struck.append(blow)
        self._to_fall.remove(blow)


def play(stage: Stage, database: str, scenario: Scenario) -> Played:
    """The disturbed part of a scenario, until its last command has ended.

    Raises:
        StageError: a command takes too long.
    """
    with running_sandbox(SandboxConfig(faults=scenario.faults, seed=scenario.seed)) as vendor:
        under_way = Play(stage, database, scenario, vendor)
        try:
            return under_way.to_its_end()
        finally:
            under_way.close()
