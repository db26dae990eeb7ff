"""Alert sensors on a real instance and a real receiver: content and time of alerts, each sent once."""

import json
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.core.notifications import AlertError
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import WILL_RETRY_TAG
from market_pipeline.orchestration import alert_sensors
from market_pipeline.orchestration.alert_sensors import build_alert_sensors
from market_pipeline.orchestration.freshness import find_stale_symbols
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dagster_internals import create_run_for_test
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, recorded
from market_pipeline_tests.receivers import TOKEN, Mailbox, Receiver

MSFT = Symbol.of("MSFT", "stock")
NIGHTLY = {"dagster/schedule_name": "nightly_equities"}
UI = "https://dagster.example.com"
AUTUMN = recorded("AAPL", date(2000, 9, 20), date(2000, 10, 6))
FRIDAY, MONDAY = date(2000, 10, 6), date(2000, 10, 9)


@pytest.fixture
def webhook_settings(settings: Settings, receiver: Receiver) -> Settings:
    return settings.model_copy(update={"alert_webhook_url": SecretStr(receiver.url), "dagster_ui_url": UI})


class Ticks:
    """A sensor's ticks, one after another, each with the cursor of the one before."""

    def __init__(self, sensor: dg.SensorDefinition, instance: DagsterInstance) -> None:
        self._sensor, self._instance = sensor, instance
        self.cursor: str | None = None

    def tick(self) -> str:
        """Evaluate the sensor once, and return the tick's message in the UI."""
        with dg.build_sensor_context(instance=self._instance, cursor=self.cursor) as context:
            result = self._sensor.evaluate_tick(context)
        self.cursor = result.cursor
        assert result.skip_message is not None
        return result.skip_message


def watch_runs(settings: Settings, instance: DagsterInstance) -> Ticks:
    return Ticks(build_alert_sensors(settings)[0], instance)


def watch_symbols(settings: Settings, instance: DagsterInstance) -> Ticks:
    return Ticks(build_alert_sensors(settings)[1], instance)


def fail(instance: DagsterInstance, reason: str, **tags: str) -> str:
    """Record a failed run, and return its id."""
    given = {**NIGHTLY, **{name.replace("__", "/"): value for name, value in tags.items()}}
    run = create_run_for_test(instance, "nightly_equities_job", status=DagsterRunStatus.STARTED, tags=given)
    instance.report_run_failed(run, reason)
    return str(run.run_id)


def test_a_failed_run_is_reported_once_with_its_symbols_reasons_and_page(
    webhook_settings: Settings, instance: DagsterInstance, receiver: Receiver, warehouse: Engine
) -> None:
    fail(instance, "before the first tick")
    sensor = watch_runs(webhook_settings, instance)
    assert sensor.tick() == "No run has failed."
    add_symbols(warehouse, [AAPL, MSFT])
    run_id = fail(instance, "one of its steps failed")
    load_frame(warehouse, AAPL, AUTUMN, run_id=run_id)
    load_failure(warehouse, MSFT, [FRIDAY], "MSFT: the vendor returned 500, 5 times", run_id=run_id)
    assert sensor.tick() == "Sent by webhook: 1 failed run."
    assert sensor.tick() == "No run has failed."
    [body] = receiver.bodies
    assert body["title"] == f"Market Pipeline: run {run_id[:8]} of nightly_equities_job failed"
    assert body["text"] == f"{body['title']}\nMSFT: the vendor returned 500, 5 times\n{UI}/runs/{run_id}"
    assert body["facts"] == {
        "job": "nightly_equities_job", "run": run_id, "trigger": "schedule", "symbols failed": "1 of 2",
    }  # fmt: skip
    assert (body["kind"], body["link"]) == ("run_failure", f"{UI}/runs/{run_id}")
    assert TOKEN not in str(sensor.cursor)


def test_a_run_that_reached_no_symbol_is_reported_with_dagsters_own_reason(
    webhook_settings: Settings, instance: DagsterInstance, receiver: Receiver
) -> None:
    sensor = watch_runs(webhook_settings, instance)
    sensor.tick()
    fail(instance, "The process that executed this run ended without finishing it.")
    sensor.tick()
    assert "The process that executed this run ended without finishing it." in receiver.bodies[0]["text"]


def test_no_alert_is_sent_for_known_retried_or_old_failures(
    webhook_settings: Settings, instance: DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = watch_runs(webhook_settings, instance)
    sensor.tick()
    fail(instance, "typed by a user, who has read the error", market_pipeline__trigger="cli")
    fail(instance, "to be run again", **{WILL_RETRY_TAG: "true"})
    assert sensor.tick() == "No run has failed."
    monkeypatch.setattr(alert_sensors, "MAX_AGE", timedelta(0))
    fail(instance, "long ago")
    assert sensor.tick() == "No run has failed."
    assert receiver.bodies == []


def test_a_channel_that_is_down_misses_no_alert_and_the_other_gets_none_twice(
    webhook_settings: Settings, instance: DagsterInstance, receiver: Receiver, mailbox: Mailbox
) -> None:
    both = webhook_settings.model_copy(
        update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{mailbox.port}"), "alert_email_to": "ann@example.com"}
    )
    sensor = watch_runs(both, instance)
    sensor.tick()
    receiver.statuses = [403]
    fail(instance, "the first")
    skipped = sensor.tick()
    assert "Sent by e-mail: 1 failed run." in skipped
    assert "Not sent: the webhook at 127.0.0.1 responded with 403" in skipped
    with pytest.raises(AlertError, match="responded with 403"):
        sensor.tick()
    receiver.statuses, tried = [200], len(receiver.bodies)
    fail(instance, "the second")
    skipped = sensor.tick()
    assert "Sent by webhook: 2 failed runs." in skipped
    assert [body["text"].splitlines()[1] for body in receiver.bodies[tried:]] == ["the first", "the second"]
    assert len(mailbox.mails) == 2


def test_without_a_channel_the_ui_names_the_settings_for_one(settings: Settings, instance: DagsterInstance) -> None:
    for sensor in (watch_runs(settings, instance), watch_symbols(settings, instance)):
        assert "nobody is notified: set ALERT_WEBHOOK_URL, or ALERT_EMAIL_TO and SMTP_URL" in sensor.tick()


def test_stale_symbols_are_reported_when_they_become_so_and_when_all_are_fine_again(
    webhook_settings: Settings, instance: DagsterInstance, receiver: Receiver, warehouse: Engine
) -> None:
    sensor = watch_symbols(webhook_settings, instance)
    assert sensor.tick() == "0 symbols are stale: nothing new."
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, AUTUMN)
    assert sensor.tick() == "Sent by webhook: Market Pipeline: AAPL is stale."
    assert sensor.tick() == "1 symbol is stale: nothing new."
    add_symbols(warehouse, [MSFT])
    load_failure(warehouse, MSFT, [FRIDAY], "the vendor returned 500")
    sensor.tick()
    with warehouse.begin() as connection:
        connection.exec_driver_sql("UPDATE tracked_symbols SET active = false")
    sensor.tick()
    kinds = [(body["kind"], body["facts"].get("symbols")) for body in receiver.bodies]
    assert kinds == [("stale", "AAPL"), ("stale", "MSFT"), ("fresh", None)]
    assert receiver.bodies[0]["text"].splitlines()[1].endswith("sessions behind, its newest bar is of 2000-10-06")
    assert json.loads(sensor.cursor or "") == {"webhook": []}


def test_an_alert_of_staleness_that_is_sent_again_has_the_same_key_and_the_next_one_another(
    webhook_settings: Settings, instance: DagsterInstance, receiver: Receiver, warehouse: Engine
) -> None:
    sensor = watch_symbols(webhook_settings, instance)
    sensor.tick()
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, AUTUMN)
    receiver.statuses = [400, 200]
    with pytest.raises(AlertError):
        sensor.tick()
    sensor.tick()
    add_symbols(warehouse, [MSFT])
    load_failure(warehouse, MSFT, [FRIDAY], "the vendor returned 500")
    sensor.tick()
    with warehouse.begin() as connection:
        connection.exec_driver_sql("UPDATE tracked_symbols SET active = false")
    receiver.statuses = [400, 200]
    with pytest.raises(AlertError):
        sensor.tick()
    sensor.tick()
    assert [body["kind"] for body in receiver.bodies] == ["stale", "stale", "stale", "fresh", "fresh"]
    first, again, other, fresh, fresh_again = receiver.keys
    assert (first, fresh) == (again, fresh_again)
    assert len({first, other, fresh}) == 3


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "behind"),
    [
        (at(MONDAY, 20), None),  # Friday's bar is there, and Monday isn't over
        (at(date(2000, 10, 10), 1), None),  # it is, and the night is still to come
        (at(date(2000, 10, 10), 4), None),  # the night is given its time
        (at(date(2000, 10, 10), 6), 1),  # it should have loaded Monday's
        (at(date(2000, 10, 11), 6), 2),
        (at(date(2000, 10, 8), 12), None),  # a Sunday
    ],
)
def test_a_symbol_is_stale_once_the_night_that_should_have_loaded_it_is_over(
    now: datetime, behind: int | None, warehouse: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, AUTUMN)
    covered = {
        "symbol": "AAPL", "calendar": "XNYS", "loaded": len(AUTUMN), "last_session": FRIDAY, "last_error": None,
        "not_yet_available": 0, "rejected": 0, "failed": 0, "never_asked": 0,
        "behind": len(recorded("AAPL", MONDAY, (now - timedelta(days=1)).date())),
    }  # fmt: skip
    monkeypatch.setattr("market_pipeline.orchestration.freshness.read_coverage", lambda *_: [covered])
    stale = find_stale_symbols(warehouse, settings, now)
    assert (stale["AAPL"].sessions_behind if stale else None) == behind
