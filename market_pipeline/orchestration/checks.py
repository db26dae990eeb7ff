"""Asset checks: what health.py asks of a symbol, answered at the end of each load.

One unpartitioned check a question and asset, evaluated by the step that loads it, so that a symbol that fails has its
answers too. Red is for what someone has to act on. Concept: https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import dagster as dg
from sqlalchemy import Engine

from market_pipeline.health import QUESTIONS, Load, answers
from market_pipeline.sessions import latest_ended_session
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.accounting import Outcome
from market_pipeline.warehouse.completeness import coverage
from market_pipeline.warehouse.reading import jumps


def check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of one symbol's asset."""
    return [dg.AssetCheckSpec(name, asset=key, description=told) for name, told in QUESTIONS.items()]


def check_results(
    warehouse: Engine, symbols: Sequence[Symbol], sessions: Sequence[date], outcomes: Sequence[Outcome]
) -> Iterator[dg.AssetCheckEvaluation]:
    """The answers for the symbols of a step, once all are loaded.

    Args:
        warehouse: the database.
        symbols: of one calendar, at least one.
        sessions: that the run covers.
        outcomes: what came of each symbol.
    """
    names = [symbol.name for symbol in symbols]
    latest = latest_ended_session(symbols[0].calendar, datetime.now(UTC))
    newest = latest is not None and sessions[-1] >= latest
    rejected = {outcome.symbol: outcome.rejected for outcome in outcomes}
    found = jumps(warehouse, names, sessions[0], sessions[-1])
    for covered in coverage(warehouse, names):
        name = covered["symbol"]
        for answer in answers(covered, Load(newest, rejected.get(name, 0), found.get(name, []))):
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["market_data", name]),
                check_name=answer.question,
                passed=answer.passed,
                severity=dg.AssetCheckSeverity.ERROR if answer.urgent else dg.AssetCheckSeverity.WARN,
                description=answer.told,
                metadata={key: dg.MetadataValue.int(number) for key, number in answer.numbers.items()},
            )
