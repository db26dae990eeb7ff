"""How a backfill shows what it is doing: a bar on a terminal, log lines anywhere else. All of it on standard error."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from market_pipeline.core import logging_json
from market_pipeline.core.wording import under
from market_pipeline.warehouse import rate_limit
from market_pipeline.warehouse.load_history import LoadResult

LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


@contextmanager
def shown_progress(sessions: int, *, quiet: bool) -> Iterator[Callable[[LoadResult], None]]:
    """What to call with each symbol's outcome, so that the user sees how far of `sessions` bars the work is."""
    if quiet or logging_json.is_json():  # which says the same, a line a symbol
        yield lambda _outcome: None
    elif sys.stderr.isatty():
        with _bar(sessions) as advance:
            yield advance
    else:
        with _log_lines():
            yield lambda _outcome: None


@contextmanager
def _bar(sessions: int) -> Iterator[Callable[[LoadResult], None]]:
    columns = TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("bars", total=sessions)

        def advance(outcome: LoadResult) -> None:
            progress.update(task, advance=outcome.sessions, description=outcome.symbol)
            if outcome.error is not None:
                progress.console.print(f"failed: {under(outcome.symbol, outcome.error)}", markup=False, highlight=False)

        handler = _Description(progress, task)
        waits = logging.getLogger(rate_limit.__name__)
        waits.addHandler(handler)
        waits.setLevel(logging.INFO)
        try:
            yield advance
        finally:
            waits.removeHandler(handler)


class _Description(logging.Handler):
    """Shows what is logged in front of the bar, until the next symbol is loaded."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        super().__init__()
        self._progress = progress
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.update(self._task, description=record.getMessage())


@contextmanager
def _log_lines() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logger = logging.getLogger("market_pipeline")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
