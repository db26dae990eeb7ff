"""Logs as JSON if LOG_FORMAT says so: one object per line on standard error, with its run and symbol.

The symbol comes from `extra={"symbol": ...}` or from structlog's context variables, to which the work on a symbol binds
it for all that is called meanwhile.
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

from market_pipeline.core.run_planning import find_trigger

COLOURED = re.compile(r"\x1b\[[0-9;]*m")
RENAMED = {"timestamp": "time", "event": "message"}
"""Fields of Dagster's JSON logs that have other names here."""

REPEATED_SECONDS = 60.0
KINDS_KEPT = 1_000
"""Seconds in which a message isn't repeated, and the number of messages remembered."""


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats a log record as an object with the time, the level, the logger and the message.

    Further fields, if known: run_id, job, step, trigger and symbol. `exception` holds the traceback. Instants are in
    UTC, as ISO 8601.
    """

    def __init__(self) -> None:
        super().__init__(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.format_exc_info,
                _build_object,
            ],
            processors=[self.remove_processors_meta, structlog.processors.JSONRenderer()],
        )


def configure() -> None:
    """Log as JSON in this process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("market_pipeline").setLevel(logging.INFO)
    logging.captureWarnings(True)


@dataclass
class _LogRepetition:
    first: float
    more: int = 0


class Repetitions(logging.Filter):
    """Passes a warning or an error once in REPEATED_SECONDS; the next one counts the repetitions in between.

    Messages are compared before their arguments are put in, so that a repeated error fills no disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_kind: dict[tuple[object, ...], _LogRepetition] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide once for all handlers if the record is to be written."""
        decided: bool | None = getattr(record, "is_written", None)
        if decided is None:
            decided = record.is_written = record.levelno < logging.WARNING or self._is_new(record)
        return decided

    def _is_new(self, record: logging.LogRecord) -> bool:
        kind = (record.name, record.levelno, str(record.msg)[:200], record.exc_info and record.exc_info[0])
        repetition = self._by_kind.get(kind)
        if repetition is not None and record.created - repetition.first < REPEATED_SECONDS:
            repetition.more += 1
            return False
        if repetition is not None and repetition.more:
            record.msg, record.args = f"{record.getMessage()} [{repetition.more:,} more since]", None
        if len(self._by_kind) >= KINDS_KEPT:
            self._by_kind.clear()
        self._by_kind[kind] = _LogRepetition(record.created)
        return True


@contextmanager
def limit_repeats() -> Iterator[None]:
    """Log a repeated warning or error once a minute inside the block, with the number of repetitions."""
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
    """Return True if this process logs as JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def wrap_line(line: str, program: str) -> str:
    """Return a service's log line as an object that names the service; text becomes its message."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {"time": _format_instant(datetime.now(UTC)), "level": "info", "message": COLOURED.sub("", line)}
    return json.dumps({"program": program, **{RENAMED.get(name, name): value for name, value in found.items()}})


def _build_object(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    # Dagster's own fields of a run's records: the run, and the message before Dagster's prefix.
    run: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
    known = {
        "run_id": run.get("run_id"),
        "job": run.get("job_name"),
        "step": run.get("step_key"),
        "trigger": find_trigger(run["job_tags"]) if run.get("run_id") else None,
        "symbol": getattr(record, "symbol", event.get("symbol")),
        "exception": event.get("exception") or _find_error(run.get("dagster_event")),
    }
    return {
        "time": _format_instant(datetime.fromtimestamp(record.created, UTC)),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": run.get("orig_message", event["event"]),
        **{name: value for name, value in known.items() if value is not None},
        **{name: event[name] for name in ("_record", "_from_structlog")},
    }


def _find_error(event: Any) -> str | None:
    """Return the error in an event of Dagster's."""
    error = getattr(getattr(event, "event_specific_data", None), "error", None)
    return str(error.to_string()) if error is not None else None


def _format_instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
