"""Detection of a user's own data in a warehouse, before it is deleted as the demo's."""

from datetime import date

from sqlalchemy import Engine, text

from market_pipeline.core.settings import Source
from market_pipeline.warehouse.foreign_data import KnownData, find_foreign_data
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

FIRST, LAST = date(2012, 1, 3), date(2012, 1, 31)


def bars_beside(warehouse: Engine, source: Source, first: date, last: date) -> list[str]:
    known = KnownData(source, {"AAPL": first}, last, [])
    return [line for line in find_foreign_data(warehouse, known) if "bar" in line and "table" not in line]


def test_bars_of_other_dates_sources_and_symbols_are_counted(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, recorded("AAPL", FIRST, LAST))
    with warehouse.connect() as connection:
        source = connection.scalar(text("SELECT source FROM bar_source"))
    assert source in ("polygon", "sandbox")
    other: Source = "sandbox" if source == "polygon" else "polygon"
    assert bars_beside(warehouse, source, FIRST, LAST) == []
    assert bars_beside(warehouse, source, FIRST, date(2012, 1, 30)) == ["1 bar (AAPL)"]
    assert bars_beside(warehouse, source, date(2012, 1, 5), LAST) == ["2 bars (AAPL)"]
    assert bars_beside(warehouse, other, FIRST, LAST) == ["20 bars (AAPL)"]
    unknown = KnownData(source, {"MSFT": FIRST}, LAST, [])
    assert {"1 symbol (AAPL)", "20 bars (AAPL)"} <= set(find_foreign_data(warehouse, unknown))
