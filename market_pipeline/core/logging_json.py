"""Logs as JSON, where LOG_FORMAT says so: one object a line on standard error, with the run and the symbol it is about.

What is logged is the business of whoever logs it. A symbol is known from `extra={"symbol": ...}` or from structlog's
context variables, in which the work on one binds it for all that is called meanwhile.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from market_pipeline.core.run_planning import trigger_of

COLOURED = re.compile(r"\x1b\[[0-9;]*m")
RENAMED = {"timestamp": "time", "event": "message"}
"""What Dagster's own programs call what we call otherwise."""

REPEATED_SECONDS = 60.0
KINDS_KEPT = 1_000
"""Seconds in which a message isn't repeated, and the number of messages remembered."""


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Makes a record of the standard library's an object: time, level, logger, message, and where known the rest.

    That is run_id, job, step, trigger, symbol; `exception` with the traceback. Instants are in UTC, as ISO 8601.
    """

    def __init__(self) -> None:
        super().__init__(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, _object],
            processors=[self.remove_processors_meta, structlog.processors.JSONRenderer()],
        )


def configure() -> None:
    """Have this process log as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("market_pipeline").setLevel(logging.INFO)
    logging.captureWarnings(True)


@dataclass
class _Said:
    first: float
    more: int = 0


class Repetitions(logging.Filter):
    """Lets a warning or an error through once in REPEATED_SECONDS; the next says how often it came meanwhile.

    What it says in which words is compared before its arguments are put in, so that nobody fills a disk by errors.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[object, ...], _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide once for all handlers if the record is to be written."""
        decided: bool | None = getattr(record, "is_written", None)
        if decided is None:
            decided = record.is_written = record.levelno < logging.WARNING or self._is_new(record)
        return decided

    def _is_new(self, record: logging.LogRecord) -> bool:
        kind = (record.name, record.levelno, str(record.msg)[:200], record.exc_info and record.exc_info[0])
        said = self._said.get(kind)
        if said is not None and record.created - said.first < REPEATED_SECONDS:
            said.more += 1
            return False
        if said is not None and said.more:
            record.msg, record.args = f"{record.getMessage()} [{said.more:,} more since]", None
        if len(self._said) >= KINDS_KEPT:
            self._said.clear()
        self._said[kind] = _Said(record.created)
        return True


@contextmanager
def said_once() -> Iterator[None]:
    """Have this process say a repeated warning or error once a minute, and count the others, while the block runs."""
    repetitions = Repetitions()
    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(repetitions)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(repetitions)


def is_json() -> bool:
    """Whether this process logs as JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def relayed(line: str, program: str) -> str:
    """A line that a program wrote, as an object that names it; what is no object becomes the message of one."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {"time": _instant(datetime.now(UTC)), "level": "info", "message": COLOURED.sub("", line)}
    return json.dumps({"program": program, **{RENAMED.get(name, name): value for name, value in found.items()}})


def _object(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    # What Dagster adds to the records of a run: whose they are, and the message before it put all that in front.
    run: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
    known = {
        "run_id": run.get("run_id"),
        "job": run.get("job_name"),
        "step": run.get("step_key"),
        "trigger": trigger_of(run["job_tags"]) if run.get("run_id") else None,
        "symbol": getattr(record, "symbol", event.get("symbol")),
        "exception": event.get("exception") or _error_of(run.get("dagster_event")),
    }
    return {
        "time": _instant(datetime.fromtimestamp(record.created, UTC)),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": run.get("orig_message", event["event"]),
        **{name: value for name, value in known.items() if value is not None},
        **{name: event[name] for name in ("_record", "_from_structlog")},
    }


def _error_of(event: Any) -> str | None:
    """The error that an event of Dagster's tells of."""
    error = getattr(getattr(event, "event_specific_data", None), "error", None)
    return str(error.to_string()) if error is not None else None


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
