"""Asset checks: the checks of a symbol's health (quality/symbol_health.py), run at the end of each load.

Each asset has one unpartitioned check per kind. The step that loads the asset runs it, so that a failed symbol is
checked too; executed alone, it checks without loading. Only findings that need action are red. Concept:
https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import dagster as dg
from sqlalchemy import Engine

from market_pipeline.core.sessions import find_newest_ended_session
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.symbol_health import CHECKS, NewestLoad, check_symbol
from market_pipeline.warehouse.coverage import read_coverage
from market_pipeline.warehouse.load_history import LastLoad, read_last_loads


def build_check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the checks of one symbol's asset."""
    return [dg.AssetCheckSpec(name, asset=key, description=statement) for name, statement in CHECKS.items()]


def build_check_results(warehouse: Engine, symbols: Sequence[Symbol]) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the check results of symbols of one calendar, at least one, as of now."""
    names = [symbol.name for symbol in symbols]
    latest = find_newest_ended_session(symbols[0].calendar, datetime.now(UTC)) or date.max
    loads = read_last_loads(warehouse, names)
    for covered in read_coverage(warehouse, names):
        for result in check_symbol(covered, _read_newest_load(loads.get(covered["symbol"]), latest)):
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["market_data", covered["symbol"]]),
                check_name=result.check,
                passed=result.passed,
                severity=dg.AssetCheckSeverity.ERROR if result.urgent else dg.AssetCheckSeverity.WARN,
                description=result.description,
                metadata={key: dg.MetadataValue.int(number) for key, number in result.numbers.items()},
            )


def _read_newest_load(last: LastLoad | None, latest: date) -> NewestLoad:
    if last is None:
        return NewestLoad(newest=False, rejected=0, jumps=[])
    return NewestLoad(last.end >= latest, last.rejected, last.jumps, last.answered_to)
