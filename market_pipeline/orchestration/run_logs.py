"""How runs log on standard error, beside their event log: as text, as Dagster does by itself, or as JSON."""

import logging
import sys

from dagster import InitLoggerContext, colored_console_logger

from market_pipeline.core.settings import Settings

_as_text = colored_console_logger.logger_fn


def _as_json(context: InitLoggerContext) -> logging.Logger:
    from market_pipeline.core.logging_json import JsonFormatter  # structlog, which text is written without

    level = logging.getLevelName(context.logger_config["log_level"])
    logger = logging.Logger(context.logger_config["name"], level)  # noqa: LOG001 - as Dagster makes its own: one a run
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    return logger


def set_run_logger(settings: Settings) -> None:
    """Have the runs of this process log as LOG_FORMAT says.

    Dagster uses its own console logger for every run whose configuration names none, whatever loggers the definitions
    have (seen with 1.13), and only a run's own configuration could name one: so what that logger does is replaced.
    """
    as_set = _as_json if settings.log_format == "json" else _as_text
    colored_console_logger._logger_fn = as_set  # noqa: SLF001 - has no other way in
