"""Progress of a backfill on standard error: a progress bar on a terminal, log lines elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from market_pipeline.core import logging_json
from market_pipeline.core.wording import prefix_symbol
from market_pipeline.warehouse import rate_limit

Report = Callable[[str, int, str | None], None]
"""Called with the name of what was loaded, its number of sessions, and the error if it failed."""

LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


@contextmanager
def show_progress(sessions: int, *, quiet: bool) -> Iterator[Report]:
    """Show the progress of a backfill, and yield the function to call for all that was loaded.

    Args:
        sessions: the number to load, over all symbols.
        quiet: show nothing.
    """
    if quiet or logging_json.is_json():  # the JSON log has a line for each symbol
        yield lambda _name, _sessions, _error: None
    elif sys.stderr.isatty():
        with _show_bar(sessions) as advance:
            yield advance
    else:
        with _show_log():
            yield lambda _name, _sessions, _error: None


@contextmanager
def _show_bar(sessions: int) -> Iterator[Report]:
    columns = TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("bars", total=sessions)

        def advance(name: str, sessions: int, error: str | None) -> None:
            progress.update(task, advance=sessions, description=name)
            if error is not None:
                progress.console.print(f"failed: {prefix_symbol(name, error)}", markup=False, highlight=False)

        handler = _DescriptionHandler(progress, task)
        waits = logging.getLogger(rate_limit.__name__)
        waits.addHandler(handler)
        waits.setLevel(logging.INFO)
        try:
            yield advance
        finally:
            waits.removeHandler(handler)


class _DescriptionHandler(logging.Handler):
    """Shows log messages in front of the bar, until the next symbol is loaded."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        super().__init__()
        self._progress = progress
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.update(self._task, description=record.getMessage())


@contextmanager
def _show_log() -> Iterator[None]:
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
