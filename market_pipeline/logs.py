"""Logs as JSON, where LOG_FORMAT says so: one object a line on standard error, with the run and the symbol it is about.

What is logged is the business of whoever logs it. A symbol is known from `extra={"symbol": ...}` or from structlog's
context variables, in which the work on one binds it for all that is called meanwhile.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from market_pipeline.runs import trigger_of

COLOURED = re.compile(r"\x1b\[[0-9;]*m")
RENAMED = {"timestamp": "time", "event": "message"}
"""What Dagster's own programs call what we call otherwise."""

DAGSTERS = re.compile(r"\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d) \+0000 - dagster[\w.-]* - (?:INFO - )?(.*)")
"""A line of one of Dagster's programs: the time of day, and what it says."""
CHATTER = re.compile(
    r"Checking for new runs for sensor: |Sensor \w+ skipped: |Priority sorting and checking tag concurrency limits|"
    r"(?:Collected \d+|Checking) runs? |Received LocationStateChangeEventType"
)
"""What the daemon says each time it looks, though nothing has happened."""


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


def is_json() -> bool:
    """Whether this process logs as JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def shortened(line: str) -> str | None:
    """A line that a program wrote, for people: Dagster's with the time of day alone; None where it says nothing new."""
    found = DAGSTERS.match(COLOURED.sub("", line))
    if found is None:
        return line
    return None if CHATTER.match(found[2]) else f"{found[1]} {found[2]}"


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
