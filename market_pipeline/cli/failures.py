"""Error messages: one line with the next step, and the exit code. The traceback of a defect is written to a file.

Imported only when a command has failed.
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
from market_pipeline.warehouse.database_errors import describe_database_problem

FAILED, USAGE = 1, 2

DEFECTS = "defects.log"
"""The file in the data folder that holds the tracebacks of unexpected errors."""

_FIXES = {
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room on the disk, or have your quota raised",
    errno.EROFS: "Name a folder on a disk that can be written to",
    errno.EACCES: "Name another one, or have its owner give you access",
    errno.EPERM: "Name another one, or have its owner give you access",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "Check the path: a part of it is a file",
    errno.EISDIR: "Name a file, not a folder",
    errno.EMFILE: "Raise the limit of open files: `ulimit -n 4096`",
    errno.ENAMETOOLONG: "Name a shorter path",
}


def report_error(error: Exception) -> int:
    """Print an error in one line, and return the exit code."""
    if isinstance(error, BrokenPipeError) or not _can_write(sys.stdout):
        return _report_lost_output(error)
    print_note(explain(error), logging.ERROR)
    return USAGE if isinstance(error, UsageError) else FAILED


def explain(error: Exception) -> str:
    """Return the message of an error: one line, with the next step."""
    for known in _walk_causes(error):
        if isinstance(known, MarketPipelineError):
            return str(known)
        if (problem := describe_database_problem(known)) is not None:
            return problem
    if isinstance(error, OSError) and error.errno is not None:
        return _explain_system_error(error)
    return _write_defect(error)


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes: Dagster wraps every error that is raised within a run."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__


def _explain_system_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    fix = _FIXES.get(error.errno or 0, "Fix that")
    return f"{where}{error.strerror}. {fix} and run the command again"


def _can_write(stream: object) -> bool:
    try:
        stream.flush()  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return False
    return True


def _report_lost_output(error: Exception) -> int:
    """Report that standard output can't be written, unless its reader has closed it, as `| head` does."""
    if not isinstance(error, BrokenPipeError):
        print_note(f"standard output can't be written: {error}. Make room, or send it elsewhere", logging.ERROR)
    with suppress(OSError, ValueError):  # Python would flush it again at exit, and print that error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return FAILED


def _write_defect(error: Exception) -> str:
    """Write the traceback of an unexpected error to a file, and return the message."""
    message = f"a defect of Market Pipeline ({type(error).__name__})"
    head = f"{datetime.now(UTC).isoformat()} market-pipeline {__version__}, Python {sys.version.split()[0]}"
    entry = f"{head}\n{''.join(traceback.format_exception(error))}\n"
    try:
        settings = load_settings()
        file = settings.market_pipeline_data_dir / DEFECTS
        _append(file, _redact_secrets(entry, settings))
    except (SettingsError, OSError):
        try:
            descriptor, name = tempfile.mkstemp(prefix="market-pipeline-defect-", suffix=".log")
            file = Path(name)
            with os.fdopen(descriptor, "w", encoding="utf-8") as log:
                log.write(entry)
        except OSError as problem:
            return f"{message}, and its traceback can't be written ({problem}): make room and run the command again"
    return f"{message}: report it with its traceback, which is in {file}"


def _append(file: Path, text: str) -> None:
    """Append text to a file that only its owner may read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
        log.write(text)


def _redact_secrets(text: str, settings: Settings) -> str:
    """Replace passwords and keys of the settings in a text by `***`."""
    for value in dict(settings).values():
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            password = urlsplit(secret).password or ""
            for hidden in (secret, unquote(password), password):
                text = text.replace(hidden, "***") if hidden else text
    return text
