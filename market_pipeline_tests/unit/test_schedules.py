"""Which sessions a night covers."""

from datetime import date

import pytest

from market_pipeline.orchestration.schedules import LOOK_BACK_SESSIONS, REACH_BACK_SESSIONS, nightly_sessions
from market_pipeline.sessions import sessions_between

LATEST = date(2024, 11, 29)


@pytest.mark.parametrize("oldest_last", [None, date(2024, 11, 27), date(2024, 11, 29)])
def test_a_night_without_an_outage_fetches_the_last_sessions_again(oldest_last: date | None) -> None:
    covered = nightly_sessions("XNYS", LATEST, oldest_last)
    assert covered == [date(2024, 11, day) for day in (22, 25, 26, 27, 29)]
    assert len(covered) == LOOK_BACK_SESSIONS


def test_a_night_after_an_outage_covers_every_session_missed() -> None:
    covered = nightly_sessions("XNYS", LATEST, date(2024, 11, 8))
    assert covered == sessions_between("XNYS", date(2024, 11, 11), LATEST)


def test_a_night_reaches_back_about_a_year_at_the_most() -> None:
    covered = nightly_sessions("XNYS", LATEST, date(2015, 1, 2))
    assert len(covered) == REACH_BACK_SESSIONS
    assert covered[-1] == LATEST


def test_crypto_nights_cover_weekends() -> None:
    assert nightly_sessions("24/7", date(2024, 12, 1), None) == [
        date(2024, 11, 27), date(2024, 11, 28), date(2024, 11, 29), date(2024, 11, 30), date(2024, 12, 1),
    ]  # fmt: skip
