"""Alerts sent to a real webhook and mail server: their content, the errors, and no secret in either."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from market_pipeline.cli.main import main
from market_pipeline.core.notifications import Alert, AlertError, Mail, list_alert_channels
from market_pipeline.core.settings import Settings, SettingsError, load_settings
from market_pipeline_tests.receivers import (
    PASSWORD,
    TOKEN,
    Mailbox,
    Receiver,
    running_mail_server,
)

LOGIN = "robot:hunter2%20of%20the%20mail"
ALERT = Alert(
    "run_failure", "Market Pipeline: a run failed", "NOSUCH: no such ticker\nFB: renamed",
    datetime(2026, 3, 2, 2, 4, tzinfo=UTC), {"job": "nightly_equities_job"}, "http://127.0.0.1:3000/runs/1",
)  # fmt: skip


def by_webhook(receiver: Receiver) -> Settings:
    return Settings(_env_file=None, alert_webhook_url=SecretStr(receiver.url))


def by_mail(port: int, login: str = "", host: str = "127.0.0.1") -> Settings:
    url = SecretStr(f"smtp://{login}@{host}:{port}" if login else f"smtp://{host}:{port}")
    return Settings(_env_file=None, smtp_url=url, alert_email_to="Ann <ann@example.com>, bob@example.com")


def test_the_webhook_gets_one_text_for_people_and_the_facts_for_programs(receiver: Receiver) -> None:
    [channel] = list_alert_channels(by_webhook(receiver))
    channel.send(ALERT)
    assert receiver.bodies == [
        {
            "text": "Market Pipeline: a run failed\nNOSUCH: no such ticker\nFB: renamed\nhttp://127.0.0.1:3000/runs/1",
            "kind": "run_failure",
            "title": "Market Pipeline: a run failed",
            "facts": {"job": "nightly_equities_job"},
            "link": "http://127.0.0.1:3000/runs/1",
            "at": "2026-03-02T02:04:00+00:00",
        }
    ]


def test_a_busy_webhook_is_tried_again(receiver: Receiver) -> None:
    receiver.statuses = [503, 429, 200]
    list_alert_channels(by_webhook(receiver))[0].send(ALERT)
    assert len(receiver.bodies) == 3


@pytest.mark.parametrize(
    ("status", "attempts", "message"),
    [(500, 3, "responded with 500, 3 times"), (404, 1, "responded with 404: fix"), (302, 1, "responded with 302: fix")],
)
def test_a_webhook_that_rejects_is_named_by_its_host_alone(
    receiver: Receiver, status: int, attempts: int, message: str
) -> None:
    receiver.statuses = [status]
    with pytest.raises(AlertError, match=f"the webhook at 127.0.0.1 {message}") as caught:
        list_alert_channels(by_webhook(receiver))[0].send(ALERT)
    assert "ALERT_WEBHOOK_URL" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert len(receiver.bodies) == attempts


def test_a_webhook_that_does_not_respond_is_named_by_its_host_alone() -> None:
    settings = Settings(_env_file=None, alert_webhook_url=SecretStr(f"http://127.0.0.1:9/{TOKEN}"))
    with pytest.raises(AlertError, match=r"gave no response \(ConnectionError\), 3 times") as caught:
        list_alert_channels(settings)[0].send(ALERT)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_e_mail_has_the_same_text(mailbox: Mailbox) -> None:
    list_alert_channels(by_mail(mailbox.port, LOGIN))[0].send(ALERT)
    [mail] = mailbox.mails
    assert mail["Subject"] == "Market Pipeline: a run failed"
    assert (mail["From"], mail["To"]) == ("ann@example.com", "ann@example.com, bob@example.com")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines() == [
        "NOSUCH: no such ticker", "FB: renamed", "", "job: nightly_equities_job", "", "http://127.0.0.1:3000/runs/1",
    ]  # fmt: skip
    assert mailbox.receivers == [["ann@example.com", "bob@example.com"]]


def test_a_mail_server_that_rejects_or_is_down_is_named_without_the_password(mailbox: Mailbox) -> None:
    with pytest.raises(
        AlertError, match=r"the mail server 127\.0\.0\.1 rejects the user or the password: fix SMTP_URL"
    ):
        list_alert_channels(by_mail(mailbox.port, "robot:wrong"))[0].send(ALERT)
    mailbox.rejects = True
    with pytest.raises(AlertError, match=r"the mail server 127\.0\.0\.1 responded with 550: .*ann@example\.com"):
        list_alert_channels(by_mail(mailbox.port, LOGIN))[0].send(ALERT)
    with pytest.raises(AlertError, match=r"can't be used \(ConnectionRefusedError\)") as caught:
        list_alert_channels(by_mail(9, LOGIN))[0].send(ALERT)
    assert "hunter2" not in str(caught.value)


def test_the_connection_is_encrypted_where_the_server_can_and_its_certificate_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with running_mail_server(context) as mailbox:
        settings = by_mail(mailbox.port, LOGIN, host="localhost")
        with pytest.raises(AlertError, match="SSLCertVerificationError"):
            list_alert_channels(settings)[0].send(ALERT)
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        list_alert_channels(settings)[0].send(ALERT)
        assert mailbox.encrypted == [True]


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every loopback address is this machine; but for that the server is one like any other's.
    elsewhere = Mail(SecretStr(f"smtp://{LOGIN}@127.0.0.2:{mailbox.port}"), "a@example.com", ["b@example.com"])
    monkeypatch.setattr("smtplib.socket.create_connection", _to_this_machine(mailbox.port))
    with pytest.raises(AlertError, match="offers no STARTTLS") as caught:
        elsewhere.send(ALERT)
    assert "hunter2" not in str(caught.value)
    assert mailbox.mails == []


def _to_this_machine(port: int):  # type: ignore[no-untyped-def]
    import socket

    real = socket.create_connection
    return lambda _address, *arguments, **options: real(("127.0.0.1", port), *arguments, **options)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ALERT_WEBHOOK_URL", "hooks.example.com/hunter2", "is not of the form https://host/path"),
        ("SMTP_URL", "mail.example.com:hunter2", "is not of the form smtp://"),
        ("SMTP_URL", "smtp://user:hunter2@host:nine", "is not of the form smtp://"),
        ("ALERT_EMAIL_TO", "ann@example.com", "takes a mail server: set SMTP_URL too"),
        ("ALERT_EMAIL_FROM", "nobody", "holds something that is no e-mail address"),
    ],
)
def test_a_setting_that_can_not_be_used_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: {message}") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def run_test(capsys: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    try:
        main(["alerts", "test"])
    except SystemExit as ended:
        code = ended.code
    return (code, *capsys.readouterr())


def test_the_command_tries_every_channel_and_prints_the_results(
    receiver: Receiver, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, output = run_test(capsys)
    assert code == 2
    assert "set ALERT_WEBHOOK_URL, or ALERT_EMAIL_TO and SMTP_URL" in output
    monkeypatch.setenv("ALERT_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("SMTP_URL", f"smtp://{LOGIN}@127.0.0.1:{mailbox.port}")
    monkeypatch.setenv("ALERT_EMAIL_TO", "ann@example.com")
    assert run_test(capsys) == (0, "sent by webhook\nsent by e-mail\n", "")
    assert receiver.bodies[0]["kind"] == "test"
    receiver.statuses = [403]
    code, output, failed = run_test(capsys)
    assert (code, output) == (1, "sent by e-mail\n")
    assert failed.startswith("failed: the webhook at 127.0.0.1 responded with 403")
    assert TOKEN not in failed
    assert PASSWORD not in failed
    assert len(mailbox.mails) == 2
