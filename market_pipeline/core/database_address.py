"""Addresses of PostgreSQL databases, parsed by libpq's own rules for every consumer of DATABASE_URL alike.

Knows no settings and connects to nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from pydantic import SecretStr

from market_pipeline.core.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

CREDENTIALS = frozenset({"user", "password", "passfile", "service", "sslcert", "sslkey", "sslpassword"})
"""Parameters that identify us."""

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
_UNAMBIGUOUS = re.compile(r"(?:[^@/]*@)?[^@?]*(?:\?.*)?", re.DOTALL)
"""No "@" in the host or the database, which would be the rest of an unescaped password."""

_PLAIN_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
_FORM = "is not of the form postgresql://user:password@host:5432/database"
_ESCAPED = (
    "can't be read as an address of PostgreSQL's: in its user and password, write each of @ : / ? # % and space "
    "percent-encoded (%40 %3A %2F %3F %23 %25 %20), and after ? only parameters that libpq knows"
)


class AddressError(UsageError, ValueError):
    """An unusable address. The message contains no part of it: any part may be one of a password."""


@dataclass(frozen=True, repr=False)
class DatabaseAddress:
    """A database's address as libpq's parameters, sorted by name."""

    items: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, url: SecretStr) -> Self:
        """Parse a URL, with a driver after the scheme (`postgresql+psycopg`) or without.

        Raises:
            AddressError: it can't be read without doubt, or names no database.
        """
        text = url.get_secret_value()
        scheme = _SCHEME.match(text)
        if scheme is None:
            raise AddressError(_FORM)
        rest = text[scheme.end() :]
        if not _UNAMBIGUOUS.fullmatch(rest):
            raise AddressError(_ESCAPED)
        address = cls.from_parameters(_parse_uri(f"postgresql://{rest}"))
        if "dbname" not in address.parameters:
            raise AddressError(f"{_FORM}: it names no database")
        if not all(_is_port(port) for port in address.parameters.get("port", "").split(",")):
            raise AddressError(f"{_FORM}: its port is not a number from 1 to 65535")
        if set(address.parameters.get("password", "")) & {"\n", "\r"}:
            raise AddressError("holds a line break in its password, which password files can't: choose another")
        return address

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Return the address of these libpq parameters."""
        return cls(tuple(sorted(parameters.items())))

    @classmethod
    def from_engine_url(cls, url: "URL") -> Self:
        """Return the address in an engine's URL, which was made of one."""
        parts = {"user": url.username, "password": url.password, "host": url.host, "port": url.port}
        named = {**parts, "dbname": url.database, **url.query}
        return cls.from_parameters({name: str(value) for name, value in named.items() if value})

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Parameters of libpq for psycopg and psycopg2: https://www.postgresql.org/docs/current/libpq-connect.html."""
        return dict(self.items)

    @property
    def database(self) -> str:
        """The database's name."""
        return self.parameters["dbname"]

    @property
    def where(self) -> str:
        """Hosts, ports and database for people, with neither user nor password; a socket's folder stands for a host."""
        hosts = (self.parameters.get("host") or self.parameters.get("hostaddr") or "localhost").split(",")
        ports = self.parameters.get("port", "").split(",")
        ports *= len(hosts) if len(ports) == 1 else 1
        places = [
            f"{f'[{host}]' if ':' in host else host or 'localhost'}:{port or 5432}"
            for host, port in zip(hosts, [*ports, *[""] * (len(hosts) - len(ports))], strict=False)
        ]
        return f"{','.join(places)}/{self.database}"

    def for_database(self, database: str) -> "DatabaseAddress":
        """Return the address of another database on the same server, for the same user."""
        return DatabaseAddress.from_parameters({**self.parameters, "dbname": database})

    def for_role(self, role: str, password: str | None) -> "DatabaseAddress":
        """Return the same database's address for another role, without any of our credentials."""
        kept = {name: value for name, value in self.parameters.items() if name not in CREDENTIALS}
        return DatabaseAddress.from_parameters({**kept, "user": role, **({"password": password} if password else {})})

    @property
    def without_password(self) -> "DatabaseAddress":
        """The same address for a place that others may read."""
        return DatabaseAddress(tuple(item for item in self.items if item[0] != "password"))

    def url(self, scheme: str = "postgresql") -> SecretStr:
        """Return the address as a URL that libpq and SQLAlchemy parse alike, with the password."""
        rest = dict(self.parameters)
        user, password, database = rest.pop("user", ""), rest.pop("password", ""), rest.pop("dbname")
        credentials = ":".join(quote(each, safe="") for each in ((user, password) if password else (user,)))
        place = ""
        if _PLAIN_HOST.fullmatch(rest.get("host", "")) and "," not in rest.get("port", ""):
            host, port = rest.pop("host"), rest.pop("port", "")
            place = f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in rest.items())
        result = f"{scheme}://{f'{credentials}@' if credentials else ''}{place}/{quote(database, safe='')}"
        return SecretStr(f"{result}?{query}" if query else result)


def describe(url: SecretStr) -> str:
    """Return a database's host, port and name for people, with neither user nor password.

    Raises:
        AddressError: it can't be read.
    """
    return DatabaseAddress.parse(url).where


def _parse_uri(uri: str) -> dict[str, str]:
    import psycopg  # a third of the time that reading the settings takes, if no address is set
    from psycopg.conninfo import conninfo_to_dict

    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(uri).items() if value is not None}
    except (psycopg.Error, ValueError):  # libpq's message quotes the address
        raise AddressError(_ESCAPED) from None
    return {name: value for name, value in parameters.items() if value.strip(",")}  # several hosts without ports: ","


def _is_port(port: str) -> bool:
    return not port or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
