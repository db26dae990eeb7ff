"""OpenAPI documentation of `/udf/...`: an operation for each call of the protocol."""

from typing import Any

from market_pipeline.api.generated.history_params import SOURCES
from market_pipeline.api.generated.openapi_parts import Json, describe_parameter
from market_pipeline.api.udf.udf_parameters import MOST_BARS, MOST_SYMBOLS, RESOLUTIONS
from market_pipeline.api.udf.udf_symbols import DEFAULT_SYMBOLS, KINDS, VENUES

TAG = "charts"
TEXT: Json = {"type": "string", "pattern": r"^[^\x00]*$"}
SYMBOL: Json = {"type": "string", "pattern": r"^[^\x00]*[^\x00:]$"}
SECONDS: Json = {"type": "integer", "format": "int64", "minimum": -62_135_596_800, "maximum": 253_402_214_400}
RESOLUTION: Json = {
    "type": "string",
    "enum": [form for name in RESOLUTIONS for form in (name, name[1:])],
    "default": "1D",
}
NUMBERS: Json = {"type": "array", "items": {"type": "number"}}
SYMBOL_INFO: Json = {
    "type": "object",
    "description": "The library's LibrarySymbolInfo.",
    "required": ["name", "ticker", "type", "session", "session_holidays", "timezone", "exchange", "pricescale"],
    "properties": {
        **{name: {"type": "string"} for name in ("name", "ticker", "description", "type", "session", "timezone")},
        "session_holidays": {"type": "string", "description": "Weekdays without a session, as 20240101,20240115."},
        "exchange": {"type": "string", "enum": [venue.name for venue in VENUES.values()]},
        "listed_exchange": {"type": "string", "description": "By ISO 10383 code, if it is known."},
        "pricescale": {"type": "integer"},
        "expired": {"type": "boolean"},
        "expiration_date": {"type": "integer"},
    },
}
FOUND: Json = {
    "type": "object",
    "properties": {
        name: {"type": "string"} for name in ("symbol", "full_name", "ticker", "description", "exchange", "type")
    },
}
BARS: Json = {
    "type": "object",
    "required": ["s"],
    "properties": {
        "s": {"type": "string", "enum": ["ok", "no_data"]},
        "t": {**NUMBERS, "description": "Unix times of the bars' sessions, in seconds, the oldest first."},
        **dict.fromkeys("ohlcv", NUMBERS),
        "nextTime": {"type": "integer", "description": "Time of the newest bar before these, in milliseconds."},
    },
}
ERROR: Json = {
    "description": "The error, in the protocol's form.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["s", "errmsg"],
                "properties": {"s": {"type": "string", "enum": ["error"]}, "errmsg": {"type": "string"}},
            }
        }
    },
}


def add_udf_operations(document: Json) -> Json:
    """Return the document with the calls of the protocol."""
    operations = {
        "config": _describe_operation("configure_charts", "What the datafeed offers", {"type": "object"}),
        "symbols": _describe_operation(
            "describe_chart_symbol",
            "A symbol, with its session hours and holidays",
            SYMBOL_INFO,
            describe_parameter(
                "symbol", "Its name, also with an exchange: XNAS:AAPL.", SYMBOL, example="AAPL", required=True
            ),
        ),
        "search": _describe_operation(
            "search_chart_symbols",
            "Symbols with a text in their name or their company's",
            {"type": "array", "items": FOUND},
            describe_parameter("query", "The text; all symbols without one.", TEXT, example="app"),
            describe_parameter("type", "Symbols of this type.", {"type": "string", "enum": ["", *KINDS]}),
            describe_parameter(
                "exchange", "Symbols of this exchange.", _build_choice(venue.name for venue in VENUES.values())
            ),
            describe_parameter("limit", f"The most symbols, {MOST_SYMBOLS} at most.", _build_number(DEFAULT_SYMBOLS)),
        ),
        "history": _describe_operation(
            "read_chart_bars",
            "Bars of days, weeks or months",
            BARS,
            describe_parameter("symbol", "The symbol.", SYMBOL, example="AAPL", required=True),
            describe_parameter("resolution", "The period of a bar.", RESOLUTION),
            describe_parameter("from", "Bars from this Unix time on, in seconds; all by default.", SECONDS),
            describe_parameter("to", "Bars before this Unix time, in seconds; all by default.", SECONDS),
            describe_parameter(
                "countback", f"The number of bars before `to`, instead of `from`; {MOST_BARS} at most.", _build_number()
            ),
            describe_parameter("adjustment", "As in /historical; the datafeed URL /udf/{adjustment} names it too.",
                  _build_choice(SOURCES)),
        ),
        "time": _describe_operation("chart_time", "The server's Unix time, in seconds", None),
    }  # fmt: skip
    tags = [*document["tags"], {"name": TAG, "description": "TradingView's datafeed protocol (UDF), for charts."}]
    paths = {f"/udf/{call}": {"get": operation} for call, operation in operations.items()}
    return {**document, "paths": {**document["paths"], **paths}, "tags": tags}


def _describe_operation(name: str, summary: str, schema: Json | None, *parameters: Json) -> Json:
    content = (
        {"text/plain": {"schema": {"type": "string"}}} if schema is None else {"application/json": {"schema": schema}}
    )
    return {
        "tags": [TAG],
        "operationId": name,
        "summary": summary,
        "parameters": [*parameters],
        "responses": {"200": {"description": "The response.", "content": content}, "default": ERROR},
    }


def _build_choice(names: Any) -> Json:
    return {"type": "string", "enum": [*names]}


def _build_number(default: int | None = None) -> Json:
    schema = {"type": "integer", "format": "int64", "minimum": 1}
    return schema if default is None else {**schema, "default": default}
