"""Execution of a scenario: start its commands, and interrupt them at the scenario's moments."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.fault_campaign.scenarios import Interruption, Measure, Method, Moment, Scenario
from market_pipeline_tests.fault_campaign.stage import COMMAND_SECONDS, Backfill, Ended, Stage, StageError

_TO_BACKFILL = {Method.KILL: signal.SIGKILL, Method.TERMINATE: signal.SIGTERM}
_COUNTS: dict[Measure, tuple[str, str]] = {
    "tables": ("_dagster", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
    "events": ("_dagster", "SELECT count(*) FROM event_logs"),
    "symbols": ("", "SELECT count(*) FROM backfill_history"),
}
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Played:
    """The results of a scenario's commands, and the interruptions made before all had ended."""

    ended: Sequence[Ended]
    made: Sequence[Interruption]


class Gauge:
    """Progress of a scenario since its start. A database that is missing or down counts as empty."""

    def __init__(self, stage: Stage, database: str) -> None:
        self._stage = stage
        self._database = database
        self._began = time.monotonic()
        self._connections: dict[str, psycopg.Connection] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def reached(self, moment: Moment) -> bool:
        """Return True if the scenario has reached that moment."""
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
    """One scenario under way: the commands started, the interruptions made, and those to come."""

    def __init__(self, stage: Stage, database: str, scenario: Scenario, vendor: str) -> None:
        self._stage = stage
        self._database = database
        self._vendor = vendor
        self._to_start = list(scenario.commands)
        self._to_make = list(scenario.interruptions)
        self._gauge = Gauge(stage, database)
        self._backfills: list[Backfill] = []
        self._made: list[Interruption] = []

    def run_to_end(self) -> Played:
        """Start and interrupt commands until all have ended.

        Raises:
            StageError: a command takes more than COMMAND_SECONDS.
        """
        while self._to_start or any(backfill.under_way for backfill in self._backfills):
            if self._gauge.seconds > COMMAND_SECONDS:
                raise StageError(f"a disturbed backfill has not ended after {COMMAND_SECONDS} seconds")
            if self._to_start and self._gauge.seconds >= self._to_start[0].after:
                self._backfills.append(self._stage.start(self._to_start.pop(0), self._database, self._vendor))
            for interruption in [
                interruption for interruption in self._to_make if self._gauge.reached(interruption.when)
            ]:
                self._interrupt(interruption)
            time.sleep(_POLL_SECONDS)
        return Played([backfill.wait(0) for backfill in self._backfills], self._made)

    def close(self) -> None:
        """End the commands that have not ended."""
        self._gauge.close()
        for backfill in self._backfills:
            backfill.end()

    def _interrupt(self, interruption: Interruption) -> None:
        if interruption.method in _TO_BACKFILL:
            if interruption.command >= len(self._backfills):
                return  # its command has not started yet
            if self._backfills[interruption.command].under_way:
                self._backfills[interruption.command].send(_TO_BACKFILL[interruption.method])
                self._made.append(interruption)
        else:
            self._stage.restart(interruption.method)
            self._made.append(interruption)
        self._to_make.remove(interruption)


def play(stage: Stage, database: str, scenario: Scenario) -> Played:
    """Run the disturbed part of a scenario, until its last command has ended.

    Raises:
        StageError: a command takes more than COMMAND_SECONDS.
    """
    with running_sandbox(SandboxConfig(faults=scenario.faults, seed=scenario.seed)) as vendor:
        under_way = Play(stage, database, scenario, vendor)
        try:
            return under_way.run_to_end()
        finally:
            under_way.close()
