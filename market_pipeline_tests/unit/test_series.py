"""One series out of the responses under several tickers."""

from datetime import date, timedelta

import pandas as pd

from market_pipeline.core.bars import VALUE_COLUMNS, FetchedBars
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource
from market_pipeline.polygon.series import join_series
from market_pipeline_tests.bar_frames import columns_of

META = Symbol.of("META", "stock")
JUNE = list_sessions("XNYS", date(2022, 6, 1), date(2022, 6, 30))
CHANGED = date(2022, 6, 9)


def response(days: list[date], price: float) -> FetchedBars:
    stamps = pd.DatetimeIndex(pd.to_datetime(days)).as_unit("us")
    frame = pd.DataFrame(
        {"date": stamps, "time": compute_session_starts("XNYS", stamps), **dict.fromkeys(VALUE_COLUMNS, price)}
    )
    return FetchedBars(columns_of(frame), [{"c": price, "day": str(day)} for day in days], 1)


def history(stated: date, source: TickerSource = TickerSource.EVENTS) -> TickerHistory:
    before = TickerPeriod("FB", None, stated - timedelta(days=1), source, certain=True)
    return TickerHistory((before, TickerPeriod("META", stated, None, source, certain=True)))


def join(stated: date, old: list[date], new: list[date]) -> dict[date, float]:
    """Return each session's price, 1 under FB and 2 under META, if the history states this change."""
    tickers = history(stated)
    spans = tickers.spans(META, JUNE)
    responses = [response([day for day in days if day in span.sessions], price)
                 for days, price, span in zip((old, new), (1.0, 2.0), spans, strict=True)]  # fmt: skip
    joined = join_series(tickers, list(zip(spans, responses, strict=True)))
    assert [payload["c"] for payload in joined.payloads] == joined.columns["close"].tolist()
    return dict(zip(joined.columns["date"].tolist(), joined.columns["close"].tolist(), strict=True))


def test_a_change_that_the_events_date_some_days_early_or_late_is_where_the_bars_change() -> None:
    old, new = [day for day in JUNE if day < CHANGED], [day for day in JUNE if day >= CHANGED]
    for stated in (date(2022, 6, 7), CHANGED, date(2022, 6, 13)):
        assert join(stated, old, new) == {**dict.fromkeys(old, 1.0), **dict.fromkeys(new, 2.0)}


def test_on_a_session_with_bars_under_both_the_stated_one_counts() -> None:
    assert join(CHANGED, JUNE, JUNE) == {day: 1.0 if day < CHANGED else 2.0 for day in JUNE}


def test_a_bar_of_a_session_that_was_not_requested_is_left_for_the_rules_to_reject() -> None:
    tickers = history(CHANGED, TickerSource.MANUAL)
    spans = tickers.spans(META, JUNE)
    stray = response([date(2022, 7, 5)], 3.0)
    joined = join_series(tickers, [(spans[0], stray), (spans[1], response([CHANGED], 2.0))])
    assert joined.columns["close"].tolist() == [3.0, 2.0]
