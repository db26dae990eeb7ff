"""Bars in the protocol UDF: those of days, weeks and months, from the same sources as `/historical`.

A bar's time is midnight UTC of its session; of a week or month, of its first session with a bar. A bar whose adjusted
price isn't known is left out, and so is a week or month with such a bar.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, lru_cache

from market_pipeline.api.context import Context
from market_pipeline.api.generated.historical import describe_unknown, find_known
from market_pipeline.api.generated.history_params import SOURCES, HistoryRequest
from market_pipeline.api.generated.query_params import CACHED_QUERIES, create_choice_parser
from market_pipeline.api.problems import ProblemError
from market_pipeline.api.udf.udf_parameters import (
    MOST_BARS,
    RESOLUTIONS,
    count_parser,
    parse_first_date,
    parse_last_date,
    parse_name,
    parse_resolution,
    parse_udf,
)
from market_pipeline.api.udf.udf_symbols import find_symbol

PARSERS = {
    "symbol": parse_name,
    "resolution": parse_resolution,
    "from": parse_first_date,
    "to": parse_last_date,
    "countback": count_parser(MOST_BARS),
    "adjustment": create_choice_parser(*SOURCES),
}

_DAYS = """
    SELECT date, open, high, low, close, volume FROM {source}
    WHERE symbol = %(symbol)s AND date BETWEEN %(first)s AND %(last)s AND close IS NOT NULL
"""
# The periods of the first and the last date are whole here, and it is their first session that has to be in the range.
_PERIODS = """
    SELECT
        min(date) AS date, (array_agg(open ORDER BY date))[1] AS open, max(high) AS high, min(low) AS low,
        (array_agg(close ORDER BY date DESC))[1] AS close, sum(volume) AS volume
    FROM {source}
    WHERE symbol = %(symbol)s AND date >= date_trunc('{period}', %(first)s::timestamp)::date
        AND date < (date_trunc('{period}', %(last)s::timestamp) + interval '1 {period}')::date
    GROUP BY date_trunc('{period}', date)
    HAVING min(date) BETWEEN %(first)s AND %(last)s AND count(close) = count(*)
"""
_NEWEST_AS_JSON = """
    SELECT CASE WHEN count(*) > 0 THEN json_build_object(
        's', 'ok', 't', json_agg(extract(epoch FROM date)::bigint), 'o', json_agg(open), 'h', json_agg(high),
        'l', json_agg(low), 'c', json_agg(close), 'v', json_agg(volume)
    )::text END
    FROM (SELECT * FROM ({bars} ORDER BY date DESC LIMIT %(most)s) AS newest ORDER BY date) AS bars
"""


@dataclass(frozen=True)
class ChartRequest:
    """A request for bars. `count` is the most bars, the newest ones; None: all from the first date on."""

    history: HistoryRequest
    resolution: str
    count: int | None = None

    @property
    def values(self) -> Mapping[str, object]:
        """The values of the statement."""
        history = self.history
        return {"symbol": history.symbol, "first": history.first, "last": history.last, "most": self.count or MOST_BARS}


@lru_cache(CACHED_QUERIES)
def parse_chart_request(query_string: str, adjustment: str | None) -> ChartRequest:
    """Parse a request for bars; `adjustment` is that of its path.

    Raises:
        ProblemError: parameters are wrong; each is named with the reason.
    """
    values = parse_udf(query_string, PARSERS, required=["symbol"])
    count = values.get("countback")
    history = HistoryRequest(
        symbol=values["symbol"],
        start=None if count else values.get("from"),
        end=values.get("to"),
        adjustment=values.get("adjustment", adjustment),
    )
    return ChartRequest(history, values.get("resolution", "1D"), count)


async def read_chart_bars(context: Context, chart: ChartRequest) -> tuple[str, str]:
    """Return the response with bars as JSON, and their adjustment.

    Raises:
        ProblemError: 404, there is no such symbol; 409, the requested adjustment is not known.
    """
    history = chart.history
    adjustment = history.adjustment or "splits"
    known_from, reason = await find_known(context, history, adjustment)
    is_unknown = adjustment != "none" and known_from is None
    if is_unknown:
        adjustment = "none"
    found = await _read_newest(context, chart, adjustment)
    if found is not None:
        if is_unknown and history.adjustment:
            raise ProblemError(409, describe_unknown(history.symbol, reason))
        return found, adjustment
    name = await find_symbol(context, history.symbol)
    if name != history.symbol:
        return await read_chart_bars(context, replace(chart, history=replace(history, symbol=name)))
    return json.dumps(await _build_no_data(context, chart, adjustment)), adjustment


async def _build_no_data(context: Context, chart: ChartRequest, adjustment: str) -> Mapping[str, object]:
    """Return the response without bars. `nextTime` is the time of the newest bar before them, in milliseconds.

    The protocol's documentation has seconds in one example and milliseconds in another one; its adapter passes the
    number on as it is, to a function that takes milliseconds.
    """
    if chart.count is not None or chart.history.start in (None, date.min):
        return {"s": "no_data"}
    before = replace(chart.history, start=None, end=chart.history.first - timedelta(days=1))
    earlier = await _read_newest(context, ChartRequest(before, chart.resolution, count=1), adjustment)
    return {"s": "no_data", **({"nextTime": json.loads(earlier)["t"][0] * 1000} if earlier else {})}


async def _read_newest(context: Context, chart: ChartRequest, adjustment: str) -> str | None:
    found: tuple[str | None] = await context.reader.row(
        build_bars_statement(adjustment, chart.resolution), chart.values, by_key=True
    )
    return found[0]


@cache
def build_bars_statement(adjustment: str, resolution: str) -> str:
    """Return the statement for the newest bars as the protocol's JSON."""
    bars = _DAYS if resolution == "1D" else _PERIODS
    return _NEWEST_AS_JSON.format(bars=bars.format(source=SOURCES[adjustment], period=RESOLUTIONS[resolution]))
