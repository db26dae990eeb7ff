"""OpenAPI documentation of the routes of a symbol's bars and of a market's universe."""

from market_pipeline.api.generated import history_params, universe_params
from market_pipeline.api.generated.openapi_parts import (
    LIMIT,
    Json,
    build_envelope_schema,
    build_instant_schemas,
    describe_paging,
    describe_parameter,
    describe_responses,
)
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS
from market_pipeline.api.generated.value_types import VALUE_KINDS
from market_pipeline.core.markets import MARKETS

DAY: Json = {"type": "string", "format": "date", "pattern": f"^{VALUE_KINDS['date'].pattern}$"}


def describe_historical() -> Json:
    """Describe the route of a symbol's bars."""
    instant, name = build_instant_schemas()
    adjustment = {"type": "string", "enum": list(history_params.SOURCES)}
    parameters = [
        {"name": "symbol", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
         "example": "AAPL"},
        describe_parameter("start", "The first date; all by default.", DAY, example="2012-01-01"),
        describe_parameter("end", "The last date, included; all by default.", DAY, example="2012-12-31"),
        describe_parameter("adjustment", "Adjusted for splits, for nothing (as traded), or for splits and dividends. "
               "Default: splits, or as traded if that is known for none of the bars (see `adjustment`).", adjustment),
        describe_parameter(
            "as_of", "The bars and their adjustment as they were at this instant; as traded by default.", instant
        ),
        describe_parameter("snapshot", "The same as of a snapshot, by its name; instead of as_of.", name),
        describe_parameter("validated_only", "Leave out flagged bars.", {"type": "boolean", "default": False}),
        describe_parameter("min_quality", "Leave out bars of a lower quality_score.",
               {"type": "number", "minimum": 0, "maximum": 1, "default": 0}),
        describe_parameter("limit", f"The most bars of a page. {LIMIT}", {"type": "integer", "minimum": 1,
               "maximum": MAX_COMPLETE_ROWS, "default": MAX_COMPLETE_ROWS}),
        *describe_paging(),
    ]  # fmt: skip
    envelope = build_envelope_schema(
        "historical.row",
        {
            "symbol": {"type": "string"},
            "start_date": {"type": ["string", "null"], "format": "date"},
            "end_date": {"type": ["string", "null"], "format": "date"},
            "adjustment": adjustment,
            "known_from": {"type": ["string", "null"], "format": "date"},
            "note": {"type": ["string", "null"]},
        },
    )
    return {
        "tags": ["bars"],
        "operationId": "read_historical",
        "summary": "A symbol's daily bars",
        "description": "By date. Times are UTC; prices are US dollars, null before `known_from`, where their "
        "adjustment isn't known: `note` has the reason. 404 without bars; 409 if the requested adjustment is not known "
        "at all.",
        "parameters": parameters,
        "responses": describe_responses(envelope),
    }


def describe_universe() -> Json:
    """Describe the route of a market's universe."""
    instant, name = build_instant_schemas()
    amount = {"type": "number", "minimum": 0}
    parameters = [
        describe_parameter("date", "The session.", DAY, example="2024-03-15", required=True),
        describe_parameter("market", "The market.",
               {"type": "string", "enum": [market.option for market in MARKETS.values()], "default": "us-stocks"}),
        describe_parameter("type", "Only tickers of these of the vendor's type codes, separated by commas. A ticker "
               "whose type isn't known has none.", {"type": "string", "pattern": f"^{universe_params.TYPES.pattern}$"},
               example="CS"),
        describe_parameter("min_price", "Only tickers with at least this price, in US dollars.", amount),
        describe_parameter("min_dollar_volume", "Only tickers with at least this median_dollar_volume, in US dollars.",
               amount),
        describe_parameter("as_of", "The universe as it was at this instant.", instant),
        describe_parameter("snapshot", "The same as of a snapshot, by its name; instead of as_of.", name),
        describe_parameter("order", "In alphabetical order, or by dollar_volume, the largest first.",
               {"type": "string", "enum": list(universe_params.ORDERS), "default": "ticker"}),
        describe_parameter("limit", "The most tickers of a page; all by default.",
               {"type": "integer", "minimum": 1, "maximum": universe_params.MOST_ROWS}),
        *describe_paging(),
    ]  # fmt: skip
    around = {
        "market": {"type": "string"},
        "date": {"type": "string", "format": "date"},
        "note": {
            "type": ["string", "null"],
            "description": "What `type` leaves out: the number of tickers without a known type; types that none has.",
        },
    }
    return {
        "tags": ["markets"],
        "operationId": "read_universe",
        "summary": "The tickers that traded on a session",
        "description": "All tickers of a market with a bar on a session, those that are gone now among them."
        " 404 with the reason for a date that is no session, or whose session is not stored whole.",
        "parameters": parameters,
        "responses": describe_responses(build_envelope_schema("universe.row", around)),
    }
