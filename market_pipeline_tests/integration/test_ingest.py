"""The main job: the effect of one symbol's failure on the others."""

from datetime import date

import pytest
from sqlalchemy import Engine

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.ingest import Run, ingest
from market_pipeline.warehouse.tracked_symbols import Reference, add_symbols
from market_pipeline_tests.bar_frames import columns_of
from market_pipeline_tests.integration.stored_bars import query, recorded

AAPL, IBM, MSFT = (Symbol.of(name, "stock") for name in ("AAPL", "IBM", "MSFT"))
OCTOBER = list_sessions("XNYS", date(2012, 10, 1), date(2012, 10, 31))


class DefectiveVendor:
    """A vendor with the bars of all symbols but IBM, on which it fails."""

    source: Source = "polygon"

    def fetch_bars(self, symbol: Symbol, last: date) -> FetchedBars:
        """Return the recorded bars of October 2012."""
        if symbol == IBM:
            raise ZeroDivisionError(f"something with s3cret in it, about {last}")
        frame = recorded(symbol.name, OCTOBER[0], OCTOBER[-1])
        return FetchedBars(columns_of(frame), [{}] * len(frame), 1, answered=(OCTOBER[0], OCTOBER[-1]))


def no_reference(symbol: Symbol) -> Reference:
    raise AssertionError(f"{symbol} has data")


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_defect_in_one_symbol_fails_that_symbol_alone(
    warehouse: Engine, at_once: int, caplog: pytest.LogCaptureFixture
) -> None:
    add_symbols(warehouse, [AAPL, IBM, MSFT])
    results = ingest(
        [AAPL, IBM, MSFT], OCTOBER, vendor=DefectiveVendor(), fetch_reference=no_reference, delisted={},
        warehouse=warehouse, run=Run("run-1", "manual"), at_once=at_once,
    )  # fmt: skip
    assert [(result.symbol, result.loaded) for together in results for result in together] == [
        ("AAPL", 21),
        ("IBM", 0),
        ("MSFT", 21),
    ]
    records = query(warehouse, "SELECT symbol, success, error_details FROM backfill_history WHERE NOT success")
    message = "a defect of Market Pipeline (ZeroDivisionError): report it with the log of the run"
    assert records == [{"symbol": "IBM", "success": False, "error_details": message}]
    assert "in fetch_bars" in caplog.text  # where it broke
