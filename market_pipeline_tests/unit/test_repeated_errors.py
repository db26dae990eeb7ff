"""A long outage in few lines, with all other lines shown."""

from market_pipeline.operations.repeated_errors import RepeatedErrors

ERROR = [
    "2026-03-02 02:0{n}:00 +0000 - dagster.daemon - ERROR - Thread for SCHEDULER did not shut down, run {n}",
    "Traceback (most recent call last):",
    '  File "pool.py", line 12, in connect',
    "    raise OperationalError(0x7f{n})",
    "sqlalchemy.exc.OperationalError: connection refused",
    "",
]


def outage(times: int, *, every: float) -> tuple[list[str], list[str]]:
    """Return the lines shown of an error that comes so many times, and of the lines between."""
    now = [0.0]
    errors = RepeatedErrors(lambda: now[0])
    shown: list[str] = []
    chatter: list[str] = []
    for number in range(times):
        for line in ERROR:
            shown += errors.filter_line("daemon", line.format(n=number % 10))
        chatter += errors.filter_line("daemon", f"2026-03-02 02:00:00 +0000 - dagster - INFO - Launched run {number}")
        now[0] += every
    return shown, chatter


def test_a_repeated_error_is_shown_once_and_counted() -> None:
    shown, chatter = outage(250, every=2)
    assert shown == [line.format(n=0) for line in ERROR]
    assert len(chatter) == 250
    shown, _ = outage(601, every=2)
    counts = [line for line in shown if "more times" in line]
    assert [line.rpartition(" (")[2] for line in counts] == ["299 more times in 10 min)"] * 2
    assert len(shown) <= 3 * len(ERROR) + 2


def test_another_error_or_another_service_is_shown() -> None:
    errors = RepeatedErrors(lambda: 0.0)
    for program in ("daemon", "api"):
        assert errors.filter_line(program, "ERROR:root:no database") == ["ERROR:root:no database"]
        assert errors.filter_line(program, "ERROR:root:no database") == []
    assert errors.filter_line("api", "  DETAIL: the disk is full") == ["  DETAIL: the disk is full"]
    assert errors.filter_line("api", "  DETAIL: the disk is full") == []
    for _ in range(2):
        assert errors.filter_line("api", "2026-03-02 02:00:00 served") == ["2026-03-02 02:00:00 served"]
        assert errors.filter_line("api", "") == [""]


def test_json_lines_are_counted_too() -> None:
    errors = RepeatedErrors(lambda: 0.0)
    line = '{"time": "2026-03-02T02:00:0%dZ", "level": "error", "message": "no database"}'
    assert [errors.filter_line("daemon", line % second) for second in range(3)] == [[line % 0], [], []]
