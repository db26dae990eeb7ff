"""Errors in one line, with the next step, and their exit codes; an unexpected one is written to a file in full.

Imported when a command has failed.
"""

import errno
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from market_pipeline import __version__
from market_pipeline.cli.output import print_note
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import Settings, SettingsError, load_settings
from market_pipeline.warehouse.database_errors import database_problem

FAILED, USAGE = 1, 2

DEFECTS = "defects.log"
"""The file in the data folder that holds the tracebacks of unexpected errors."""

_REMEDIES = {
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room on the disk, or have your quota raised",
    errno.EROFS: "Name a folder on a disk that can be written to",
    errno.EACCES: "Name another, or have its owner give you the right",
    errno.EPERM: "Name another, or have its owner give you the right",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "Check the path: a part of it is a file",
    errno.EISDIR: "Name a file, not a folder",
    errno.EMFILE: "Raise the limit of open files: `ulimit -n 4096`",
    errno.ENAMETOOLONG: "Name a shorter path",
}


def report(error: Exception) -> int:
    """Say what went wrong in one line, and return the exit code."""
    if isinstance(error, BrokenPipeError) or not _can_write(sys.stdout):
        return _without_output(error)
    print_note(explanation(error), logging.ERROR)
    return USAGE if isinstance(error, UsageError) else FAILED


def explanation(error: Exception) -> str:
    """An error in one line, with the next step."""
    for known in _causes(error):
        if isinstance(known, MarketPipelineError):
            return str(known)
        if (problem := database_problem(known)) is not None:
            return problem
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error)
    return _defect(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what others made it of: Dagster wraps all that is raised within a run."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__


def _of_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    remedy = _REMEDIES.get(error.errno or 0, "Fix that")
    return f"{where}{error.strerror}. {remedy} and run the command again"


def _can_write(stream: object) -> bool:
    try:
        stream.flush()  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return False
    return True


def _without_output(error: Exception) -> int:
    """Standard output is closed, as `| head` does once it has enough, which is no news, or its disk is full."""
    if not isinstance(error, BrokenPipeError):
        print_note(f"standard output can't be written: {error}. Make room, or send it elsewhere", logging.ERROR)
    with suppress(OSError, ValueError):  # Python would try again, and complain, when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return FAILED


def _defect(error: Exception) -> str:
    told = f"a defect of Market Pipeline ({type(error).__name__})"
    head = f"{datetime.now(UTC).isoformat()} market-pipeline {__version__}, Python {sys.version.split()[0]}"
    account = f"{head}\n{''.join(traceback.format_exception(error))}\n"
    try:
        settings = load_settings()
        file = settings.market_pipeline_data_dir / DEFECTS
        _append(file, _without_secrets(account, settings))
    except (SettingsError, OSError):
        try:
            descriptor, name = tempfile.mkstemp(prefix="market-pipeline-defect-", suffix=".log")
            file = Path(name)
            with os.fdopen(descriptor, "w", encoding="utf-8") as log:
                log.write(account)
        except OSError as problem:
            return f"{told}, and its traceback can't be written ({problem}): make room and run the command again"
    return f"{told}: report it with its traceback, which is in {file}"


def _append(file: Path, text: str) -> None:
    """Write to the end of a file that only we may read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
        log.write(text)


def _without_secrets(text: str, settings: Settings) -> str:
    """The text without the passwords and keys of the settings, should an error have named one."""
    for value in dict(settings).values():
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            password = urlsplit(secret).password or ""
            for hidden in (secret, unquote(password), password):
                text = text.replace(hidden, "***") if hidden else text
    return text
