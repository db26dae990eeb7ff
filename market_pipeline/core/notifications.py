"""Telling people that something is wrong: what an alert is, and the ways it can be sent, a webhook and e-mail.

When one is due is the caller's business. What an alert says is read by whoever reads the channel: no secret belongs in
it, and none of a channel's own (its address may hold a token) is in any error.
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

ATTEMPTS = 3
CONNECT_SECONDS, WEBHOOK_SECONDS, MAIL_SECONDS = 2.0, 6.0, 15.0
"""For all of one attempt. Dagster gives a sensor's tick a minute, in which several alerts may have to be sent."""
PAUSES = 1.5
"""The seconds between a webhook's attempts, in all."""

PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
NO_CHANNEL = "nobody is told: set ALERT_WEBHOOK_URL, or ALERT_EMAIL_TO and SMTP_URL, in the environment or in .env"


class AlertError(MarketPipelineError):
    """An alert could not be sent; the message names the channel and what to do."""


class NoChannelError(UsageError):
    """There is no way set to send an alert."""


@dataclass(frozen=True)
class Alert:
    """Something that people should know.

    `title` is one line, `text` a few, `facts` what a program might pick out, `link` where to look, `at` when it came
    about.
    """

    kind: str
    title: str
    text: str
    at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The body of the webhook. `text` holds all that people need: it is what chat services show."""
        whole = "\n".join([self.title, self.text, *([self.link] if self.link else [])])
        return {
            "text": whole,
            "kind": self.kind,
            "title": self.title,
            "facts": dict(self.facts),
            "link": self.link,
            "at": self.at.isoformat(timespec="seconds"),
        }

    def as_mail(self, sender: str, receivers: Sequence[str]) -> EmailMessage:
        """The same as an e-mail."""
        mail = EmailMessage()
        mail["Subject"] = " ".join(self.title.split())
        mail["From"] = sender
        mail["To"] = ", ".join(receivers)
        mail["Date"] = format_datetime(self.at)
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("> ") or None)
        mail["Auto-Submitted"] = "auto-generated"  # so that nobody's absence note answers it
        facts = "\n".join(f"{name}: {value}" for name, value in self.facts.items())
        mail.set_content("\n\n".join(part for part in (self.text, facts, self.link) if part) + "\n")
        return mail


class Channel(Protocol):
    """A way to send alerts, and its name."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def send(self, alert: Alert) -> None:
        """Send it.

        Raises:
            AlertError: it could not be sent.
        """
        ...


def channels(settings: Settings) -> list[Channel]:
    """The channels that the settings describe."""
    found: list[Channel] = []
    if settings.alert_webhook_url is not None:
        found.append(Webhook(settings.alert_webhook_url))
    if settings.smtp_url is not None and (receivers := settings.alert_receivers):
        found.append(Mail(settings.smtp_url, settings.alert_email_from or receivers[0], receivers))
    return found


class _TryAgainError(Exception):
    """An answer, or none, after which another attempt may succeed."""


@dataclass(frozen=True)
class Webhook:
    """A JSON document, POSTed."""

    url: SecretStr
    name: str = "webhook"

    def send(self, alert: Alert) -> None:
        """Send it, again where that may help.

        Raises:
            AlertError: it was not taken.
        """
        import tenacity  # with requests 0.1 s, which who sends nothing needn't spend

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

        body = alert.as_json()
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with open_session(trust_env=host not in _LOOPBACK) as session:  # a proxy is for the world outside
            try:
                response = send(
                    session,
                    "POST",
                    self.url.get_secret_value(),
                    seconds=WEBHOOK_SECONDS,
                    most_bytes=0,  # the status says all, whatever else comes, and however slowly
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
                # Its own words hold the address.
                raise _TryAgainError(f"gave no response ({type(problem).__name__})") from None
        if response.status == requests.codes.too_many or response.status >= requests.codes.server_error:
            raise _TryAgainError(f"answered {response.status}")
        if response.status >= requests.codes.multiple_choices:
            raise AlertError(f"the webhook at {host} answered {response.status}: fix ALERT_WEBHOOK_URL")


@dataclass(frozen=True)
class Mail:
    """An e-mail through a server at `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte."""

    url: SecretStr
    sender: str
    receivers: Sequence[str]
    name: str = "e-mail"

    def send(self, alert: Alert) -> None:
        """Send it.

        Raises:
            AlertError: the server can't be reached, isn't safe to give the password to, or refuses.
        """
        parts = urlsplit(self.url.get_secret_value())
        host = parts.hostname or ""
        try:
            call_within(MAIL_SECONDS, lambda: self._deliver(alert, parts, host))
        except smtplib.SMTPAuthenticationError:
            raise AlertError(f"the mail server {host} refuses the user or the password: fix SMTP_URL") from None
        except (smtplib.SMTPException, OSError) as problem:
            code = getattr(problem, "smtp_code", None)
            told = f"answered {code}" if code else f"can't be used ({type(problem).__name__})"
            raise AlertError(
                f"the mail server {host} {told}: see that it is up and takes mail from {self.sender} to "
                f"{', '.join(self.receivers)}, or fix SMTP_URL"
            ) from None

    def _deliver(self, alert: Alert, parts: SplitResult, host: str) -> None:
        with self._connected(parts.scheme, host, parts.port or PORTS[parts.scheme]) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(alert.as_mail(self.sender, self.receivers), self.sender, list(self.receivers))
            server.putcmd("quit")  # the mail is taken; a goodbye isn't waited for

    @contextmanager
    def _connected(self, scheme: str, host: str, port: int) -> Iterator[smtplib.SMTP]:
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
        elif urlsplit(self.url.get_secret_value()).password and host not in _LOOPBACK:
            raise AlertError(
                f"the mail server {host} offers no STARTTLS, so the password would travel in the clear: "
                "write SMTP_URL as smtps://, or leave the password out"
            )
