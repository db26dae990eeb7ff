"""Types of settings whose text has a required form: each checks a value, with an error that names the form."""

from email.utils import getaddresses
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, ValidationInfo

from market_pipeline.core.database_address import DatabaseAddress


def _check_database(url: SecretStr) -> SecretStr:
    DatabaseAddress.parse(url)
    return url


def _check_web(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not of the form http://host:port")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold neither a user, a password nor a query")
    return url.rstrip("/")


def _check_webhook(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not of the form https://host/path")
    return url


def _check_mail_server(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    try:
        has_port = parts.port is None or parts.port > 0
    except ValueError:  # no number from 0 to 65535
        has_port = False
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or not has_port:
        raise ValueError("is not of the form smtp://user:password@host:587 or smtps://user:password@host:465")
    return url


def _check_mail_addresses(text: str) -> str:
    if not all("@" in address for _, address in getaddresses([text])) or not text.isprintable():
        raise ValueError("holds something that is no e-mail address")
    return text


def _check_receivers(text: str, setting: ValidationInfo) -> str:
    if not setting.data.get("smtp_url"):
        raise ValueError("takes a mail server: set SMTP_URL too")
    return text


def _check_networks(text: str) -> str:
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            ip_network(part)
        except ValueError:
            raise ValueError(f"{part!r} is no address and no network such as 10.0.0.0/8") from None
    return text


def _check_redis(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("is not of the form redis://:password@host:6379/0")
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_check_database)]
WebUrl = Annotated[str, AfterValidator(_check_web)]
WebhookUrl = Annotated[SecretStr, AfterValidator(_check_webhook)]
MailServerUrl = Annotated[SecretStr, AfterValidator(_check_mail_server)]
MailAddresses = Annotated[str, AfterValidator(_check_mail_addresses)]
MailReceivers = Annotated[MailAddresses, AfterValidator(_check_receivers)]
"""Addresses that need SMTP_URL, a field declared before theirs."""
Networks = Annotated[str, AfterValidator(_check_networks)]
RedisUrl = Annotated[SecretStr, AfterValidator(_check_redis)]
