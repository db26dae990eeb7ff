"""Logs of runs on standard error, beside their event log: as text, Dagster's own format, or as JSON."""

import logging
import sys

from dagster import InitLoggerContext, colored_console_logger

from market_pipeline.core.settings import Settings

_text_logger = colored_console_logger.logger_fn


def _build_json_logger(context: InitLoggerContext) -> logging.Logger:
    from market_pipeline.core.logging_json import JsonFormatter  # structlog, not needed for text

    level = logging.getLevelName(context.logger_config["log_level"])
    logger = logging.Logger(context.logger_config["name"], level)  # noqa: LOG001 - as Dagster makes its own: one a run
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    return logger


def set_run_logger(settings: Settings) -> None:
    """Set the format of the logs of this process's runs to LOG_FORMAT.

    Dagster ignores the definitions' loggers for a run whose configuration names none (seen with 1.13) and uses its own
    console logger: so the function behind that one is replaced.
    """
    build_logger = _build_json_logger if settings.log_format == "json" else _text_logger
    colored_console_logger._logger_fn = build_logger  # noqa: SLF001 - Dagster has no public way
