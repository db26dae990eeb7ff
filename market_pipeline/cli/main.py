"""Entry point of `market-pipeline`: runs the command, and turns errors into messages and exit codes.

Exit codes: 0 done, 1 failed, 2 the command or a setting is wrong, 3 some symbols failed, 130 stopped by Ctrl-C, 143 by
SIGTERM. Data goes to standard output, everything else to standard error. Little is imported here, so that signals are
handled from the start.
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
        with stop_signals.watch_signals():
            code = _run(arguments)
            if stop_signals.is_requested() and code != 0:
                _print_interrupted()
                stop_signals.end_process(stop_signals.choose_exit_code())
    except KeyboardInterrupt:  # between two of these lines
        _print_interrupted()
        code = stop_signals.choose_exit_code()
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """Run the command, print its error if it fails, and return the exit code."""
    try:
        from market_pipeline.cli.commands import run

        try:
            run(arguments)
        except SystemExit as end:
            sys.stdout.flush()  # a failed write is an error too
            return _read_exit_code(end)
    except KeyboardInterrupt:
        return stop_signals.choose_exit_code()
    except Exception as error:
        from market_pipeline.cli.failures import report_error

        return report_error(error)
    return 0


def _read_exit_code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _print_interrupted() -> None:
    # An interrupted import may leave modules incomplete, so none is imported unless this one was.
    logs = sys.modules.get("market_pipeline.core.logging_json")
    if logs is not None and logs.is_json():
        from market_pipeline.cli.output import print_note

        print_note(stop_signals.describe_stop())
    else:
        print(stop_signals.describe_stop(), file=sys.stderr)  # noqa: T201


def _open_standard_streams() -> None:
    """Open standard streams that the shell has closed (`>&-`): otherwise the next file would get their number."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
