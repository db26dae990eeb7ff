"""One symbol's bars put together from the responses under each ticker that it has had.

A session's bar is that of the ticker the security had then. Where the responses disagree with a change that only the
vendor's events date, by a few days, the ticker with a bar is taken.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np

from market_pipeline.core.bars import BAR_COLUMNS, FetchedBars, make_empty_bars, select_rows
from market_pipeline.core.ticker_history import TickerHistory, TickerSpan


def join_series(history: TickerHistory, parts: Sequence[tuple[TickerSpan, FetchedBars]]) -> FetchedBars:
    """Return the bars of all parts as one, without those of sessions on which the ticker was not the symbol's.

    `requests`, `waited_seconds` and `answered` are left to the caller.
    """
    if len(parts) == 1:
        return parts[0][1]
    dates = [set(fetched.columns["date"].tolist()) for _, fetched in parts]
    kept_parts, payloads = [make_empty_bars()], []  # there may be no part
    for place, (span, fetched) in enumerate(parts):
        kept = _select(history, span, fetched, dates, [other for other, _ in parts], place)
        kept_parts.append(select_rows(fetched.columns, kept))
        payloads += [fetched.payloads[row] for row in np.flatnonzero(kept).tolist()]
    together = {name: np.concatenate([part[name] for part in kept_parts]) for name in BAR_COLUMNS}
    return FetchedBars(together, payloads, requests=0)


def _select(
    history: TickerHistory,
    span: TickerSpan,
    fetched: FetchedBars,
    dates: Sequence[set[date | None]],
    spans: Sequence[TickerSpan],
    place: int,
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return for each row of a part if it belongs to the series.

    Rows without a readable date, or of other sessions than were requested, are kept: the rules reject them.
    """
    requested = set(span.sessions)

    def belongs(day: date | None) -> bool:
        if day is None:
            return True
        own = history.ticker_on(day)
        if day not in requested or own == span.ticker.vendor_ticker:
            return True
        return not any(
            day in dates[other]
            for other in range(len(spans))
            if other != place and (spans[other].ticker.vendor_ticker == own)
        )

    return np.array([belongs(day) for day in fetched.columns["date"].tolist()], dtype=bool)
