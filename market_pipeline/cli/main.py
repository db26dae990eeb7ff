"""The command `market-pipeline`, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 failed, 2 the command itself is wrong, 3 some symbols failed, 130 stopped by Ctrl-C, 143 by
SIGTERM. Data goes to standard output, everything else to standard error. Little is imported here: signals are to be
handled from the first moment on.
"""

import os
import sys
from typing import NoReturn

from market_pipeline.core import stop_signals

FAILED = 1


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    _open_standard_streams()
    try:
        with stop_signals.watched():
            code = _run(arguments)
            if stop_signals.requested() and code != 0:
                _say_interrupted()
                stop_signals.end_process(stop_signals.exit_code())
    except KeyboardInterrupt:  # between two of these lines
        _say_interrupted()
        code = stop_signals.exit_code()
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """Run the command and return its exit code, with what went wrong said in one line."""
    try:
        from market_pipeline.cli.commands import run

        try:
            run(arguments)
        except SystemExit as end:
            sys.stdout.flush()  # what can't be written is an error too
            return _code(end)
    except KeyboardInterrupt:
        return stop_signals.exit_code()
    except Exception as error:
        from market_pipeline.cli.failures import report

        return report(error)
    return 0


def _code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _say_interrupted() -> None:
    logs = sys.modules.get(
        "market_pipeline.core.logging_json"
    )  # interrupted in an import, nothing more can be imported
    if logs is not None and logs.is_json():
        from market_pipeline.cli.output import print_note

        print_note(stop_signals.message())
    else:
        print(stop_signals.message(), file=sys.stderr)  # noqa: T201


def _open_standard_streams() -> None:
    """Open those that the shell has closed (`>&-`): the next file opened would take their number."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
