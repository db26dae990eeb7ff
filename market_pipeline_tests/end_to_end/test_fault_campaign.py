"""The fault campaign in small: each kind of disturbance once, and a test that it detects each kind of damage."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from market_pipeline_tests.end_to_end.forked_commands import ForkedCommand
from market_pipeline_tests.fault_campaign.checks import REFERENCE, list_problems
from market_pipeline_tests.fault_campaign.scenarios import (
    Command,
    Interruption,
    Method,
    Moment,
    Scenario,
    draw_scenario,
)
from market_pipeline_tests.fault_campaign.stage import Stage, running_stage
from market_pipeline_tests.fault_campaign.trial import load_reference, try_scenario

SECOND = Command(
    ("backfill", "--symbols", "MU,SQ,AAPL", "--start", "2023-03-01", "--end", "2023-06-30", "--quiet"), 0.5
)
SCENARIOS = (
    Scenario(
        1,
        (Interruption(Method.KILL, Moment("symbols", 5)),),
        ("500:0.1", "missing_fields:0.3", "impossible_bars:0.3"),
        (Command(), SECOND),
    ),
    Scenario(2, (Interruption(Method.POSTGRES_KILLED, Moment("symbols", 3)),), ("slow=0*9", "unknown_key")),
)

DAMAGE = {
    "DELETE FROM market_data WHERE symbol = 'MU' AND date = '2023-05-03'": (
        "the content's hash is",
        "1 cells of MU have another colour",
        "-1 bars more than load records count",
        "1 sessions whose state is not loaded",
    ),
    "UPDATE market_data SET vwap = vwap + 0.01 WHERE symbol = 'SQ' AND date = '2023-05-03'": ("the content's hash is",),
    "UPDATE market_data SET flags = '{odd}' WHERE symbol = 'SQ' AND date = '2023-05-03'": ("flags differ",),
    "UPDATE backfill_history SET loaded = 249, records_imported = 249, unchanged = 1 WHERE symbol = 'MU'": (
        "1 bars more than load records count",
    ),
    "UPDATE tracked_symbols SET backfill_status = 'failed' WHERE symbol = 'MU'": ("1 symbols not completed",),
}
DAMAGE_IN_DAGSTER = {
    "UPDATE runs SET status = 'NOT_STARTED'": ("is NOT_STARTED for ever",),
    "UPDATE asset_check_executions SET execution_status = 'PLANNED'": ("60 asset checks wait for ever",),
    "DROP TABLE kvs": ("Dagster's tables are not all there",),
    "DELETE FROM event_logs WHERE asset_key LIKE '%MU%'": ("250 cells of MU have another colour",),
}
"""Damage that no crash may cause, and the campaign's description of it."""


def start_forked(arguments: Sequence[str], env: Mapping[str, str], folder: Path, log: Path) -> ForkedCommand:
    """Fork a command from a process that has imported the project; the campaign itself starts the program."""
    return ForkedCommand(arguments, env, folder, out=Path(os.devnull), err=log)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A stage with its reference."""
    with running_stage(start_command=start_forked) as opened:
        yield opened


@pytest.fixture(scope="module")
def expected(stage: Stage) -> str:
    """The reference's hash."""
    return load_reference(stage)


def test_one_undisturbed_run_repairs_every_kind_of_disturbance(stage: Stage, expected: str) -> None:
    trials = [try_scenario(stage, scenario, expected) for scenario in SCENARIOS]
    assert [trial.problems for trial in trials] == [[], []], "\n".join(map(str, trials))
    assert [tuple(trial.made) for trial in trials] == [scenario.interruptions for scenario in SCENARIOS]


@pytest.mark.parametrize(("suffix", "damage"), [("", DAMAGE), ("_dagster", DAMAGE_IN_DAGSTER)])
def test_forbidden_leftovers_of_a_crash_are_detected(
    stage: Stage, expected: str, suffix: str, damage: Mapping[LiteralString, Sequence[str]]
) -> None:
    for number, (statement, seen) in enumerate(damage.items()):
        damaged = f"damaged{suffix}_{number}"
        stage.create(damaged, REFERENCE)
        stage.create(f"{damaged}_dagster", f"{REFERENCE}_dagster")
        assert list(list_problems(stage, damaged, Scenario(0), expected)) == []
        with psycopg.connect(stage.server.url(f"{damaged}{suffix}").get_secret_value()) as connection:
            connection.execute(statement)
        found = "; ".join(list_problems(stage, damaged, Scenario(0), expected))
        assert [words for words in seen if words not in found] == [], found


def test_a_seed_is_always_the_same_scenario_and_fifty_hold_every_kind() -> None:
    scenarios = [draw_scenario(seed) for seed in range(1, 51)]
    assert scenarios == [draw_scenario(seed) for seed in range(1, 51)]
    hits = Counter(each.method for scenario in scenarios for each in scenario.interruptions)
    assert min(hits[method] for method in Method) >= 3
    assert sum(len(scenario.commands) > 1 for scenario in scenarios) >= 10
    assert sum(bool(scenario.faults) for scenario in scenarios) >= 10
