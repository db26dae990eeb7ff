"""Alerts, and the channels that send them: a webhook and e-mail.

The caller decides when one is due. Whoever reads the channel reads the alert: no secret belongs in it, and none of a
channel's own (its address may hold a token) is in any error.
"""

import hashlib
import json
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from market_pipeline.core.deadlines import DeadlineError, call_within
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.outbound_mail import MailServer, TlsMailServer
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import LOOPBACK_HOSTS

ATTEMPTS = 3
CONNECT_SECONDS, WEBHOOK_SECONDS, MAIL_SECONDS = 2.0, 6.0, 15.0
"""For all of one attempt. Dagster gives a sensor's tick a minute, in which several alerts may have to be sent."""
PAUSES = 1.5
"""Seconds between a webhook's attempts, in total."""

PORTS = {"smtp": 587, "smtps": 465}
NO_CHANNEL = "nobody is notified: set ALERT_WEBHOOK_URL, or ALERT_EMAIL_TO and SMTP_URL, in the environment or in .env"


class AlertError(MarketPipelineError):
    """An alert could not be sent; the message names the channel and the next step."""


class NoChannelError(UsageError):
    """No channel is set for alerts."""


@dataclass(frozen=True)
class Alert:
    """A message to people about a problem.

    `title` is one line, `text` a few, `facts` are values for programs, `link` leads to details, `at` is the time of the
    problem.
    """

    kind: str
    title: str
    text: str
    at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the webhook's body. `text` holds all that people need: chat services show only that."""
        text = "\n".join([self.title, self.text, *([self.link] if self.link else [])])
        return {
            "text": text,
            "kind": self.kind,
            "title": self.title,
            "facts": dict(self.facts),
            "link": self.link,
            "at": self.at.isoformat(timespec="seconds"),
        }

    def to_mail(self, sender: str, receivers: Sequence[str]) -> EmailMessage:
        """Return the alert as an e-mail."""
        mail = EmailMessage()
        mail["Subject"] = " ".join(self.title.split())
        mail["From"] = sender
        mail["To"] = ", ".join(receivers)
        mail["Date"] = format_datetime(self.at)
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("> ") or None)
        mail["Auto-Submitted"] = "auto-generated"  # so that no absence note replies to it
        facts = "\n".join(f"{name}: {value}" for name, value in self.facts.items())
        mail.set_content("\n\n".join(part for part in (self.text, facts, self.link) if part) + "\n")
        return mail


class Channel(Protocol):
    """A way to send alerts."""

    @property
    def name(self) -> str:
        """Its name for people."""
        ...

    def send(self, alert: Alert) -> None:
        """Send an alert.

        Raises:
            AlertError: it could not be sent.
        """
        ...


def list_alert_channels(settings: Settings) -> list[Channel]:
    """Return the channels that the settings configure."""
    channels: list[Channel] = []
    if settings.alert_webhook_url is not None:
        channels.append(Webhook(settings.alert_webhook_url))
    if settings.smtp_url is not None and (receivers := settings.alert_receivers):
        channels.append(Mail(settings.smtp_url, settings.alert_email_from or receivers[0], receivers))
    return channels


class _TryAgainError(Exception):
    """A failed attempt after which another one may succeed."""


@dataclass(frozen=True)
class Webhook:
    """A channel that POSTs alerts as JSON."""

    url: SecretStr
    name: str = "webhook"

    def send(self, alert: Alert) -> None:
        """Send an alert, with further attempts if they may help.

        Raises:
            AlertError: it was not accepted.
        """
        import tenacity  # with requests 0.1 s, which is spent only to send

        host = urlsplit(self.url.get_secret_value()).hostname or ""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=PAUSES / 3, max=2),
            reraise=True,
        )
        try:
            attempts(self._post, alert, host)
        except _TryAgainError as problem:
            raise AlertError(
                f"the webhook at {host} {problem}, {ATTEMPTS} times: see that it is up, or fix ALERT_WEBHOOK_URL"
            ) from None

    def _post(self, alert: Alert, host: str) -> None:
        import requests

        from market_pipeline.core.outbound_http import open_session, send

        body = alert.to_json()
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with open_session(trust_env=host not in LOOPBACK_HOSTS) as session:  # a proxy is for hosts beyond this machine
            try:
                response = send(
                    session,
                    "POST",
                    self.url.get_secret_value(),
                    seconds=WEBHOOK_SECONDS,
                    most_bytes=0,  # the status is enough
                    json=body,
                    headers={"Idempotency-Key": key},
                    timeout=(CONNECT_SECONDS, WEBHOOK_SECONDS),
                )
            except (DeadlineError, requests.ReadTimeout):
                # It may have taken the alert. The next attempt, with the same key, is left to the caller.
                raise AlertError(
                    f"the webhook at {host} gave no response within {WEBHOOK_SECONDS:g} s: see that it is up and fast, "
                    "or fix ALERT_WEBHOOK_URL"
                ) from None
            except (requests.RequestException, OSError) as problem:
                # Its message contains the URL.
                raise _TryAgainError(f"gave no response ({type(problem).__name__})") from None
        if response.status == requests.codes.too_many or response.status >= requests.codes.server_error:
            raise _TryAgainError(f"responded with {response.status}")
        if response.status >= requests.codes.multiple_choices:
            raise AlertError(f"the webhook at {host} responded with {response.status}: fix ALERT_WEBHOOK_URL")


@dataclass(frozen=True)
class Mail:
    """E-mail through a server at `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte."""

    url: SecretStr
    sender: str
    receivers: Sequence[str]
    name: str = "e-mail"

    def send(self, alert: Alert) -> None:
        """Send an alert.

        Raises:
            AlertError: the server can't be reached, isn't safe to give the password to, or rejects the mail.
        """
        parts = urlsplit(self.url.get_secret_value())
        host = parts.hostname or ""
        try:
            call_within(MAIL_SECONDS, lambda: self._deliver(alert, parts, host))
        except smtplib.SMTPAuthenticationError:
            raise AlertError(f"the mail server {host} rejects the user or the password: fix SMTP_URL") from None
        except (smtplib.SMTPException, OSError) as problem:
            code = getattr(problem, "smtp_code", None)
            reason = f"responded with {code}" if code else f"can't be used ({type(problem).__name__})"
            raise AlertError(
                f"the mail server {host} {reason}: see that it is up and takes mail from {self.sender} to "
                f"{', '.join(self.receivers)}, or fix SMTP_URL"
            ) from None

    def _deliver(self, alert: Alert, parts: SplitResult, host: str) -> None:
        with self._connect(parts.scheme, host, parts.port or PORTS[parts.scheme]) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(alert.to_mail(self.sender, self.receivers), self.sender, list(self.receivers))
            server.putcmd("quit")  # without a wait: the mail is accepted

    @contextmanager
    def _connect(self, scheme: str, host: str, port: int) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if scheme == "smtps":
            server = TlsMailServer(host, port, timeout=MAIL_SECONDS, context=context)
        else:
            server = MailServer(host, port, timeout=MAIL_SECONDS)
        try:
            if scheme != "smtps":
                self._encrypt(server, host, context)
            yield server
        finally:
            server.close()

    def _encrypt(self, server: smtplib.SMTP, host: str, context: ssl.SSLContext) -> None:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
        elif urlsplit(self.url.get_secret_value()).password and host not in LOOPBACK_HOSTS:
            raise AlertError(
                f"the mail server {host} offers no STARTTLS, so the password would travel in the clear: "
                "write SMTP_URL as smtps://, or leave the password out"
            )
