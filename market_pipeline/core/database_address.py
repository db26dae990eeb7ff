"""The address of a PostgreSQL database, read by libpq's own rules: what DATABASE_URL may say, for every consumer alike.

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
"""The parameters that say who we are."""

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
_UNAMBIGUOUS = re.compile(r"(?:[^@/]*@)?[^@?]*(?:\?.*)?", re.DOTALL)
"""No "@" where libpq expects a host or a database: what is before it would be the rest of a password."""

_PLAIN_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
_FORM = "is not of the form postgresql://user:password@host:5432/database"
_ESCAPED = (
    "can't be read as an address of PostgreSQL's: in its user and password, write each of @ : / ? # % and space "
    "percent-encoded (%40 %3A %2F %3F %23 %25 %20), and after ? only parameters that libpq knows"
)


class AddressError(UsageError, ValueError):
    """An address can't be used. The message holds no part of it: any part may be one of a password."""


@dataclass(frozen=True, repr=False)
class DatabaseAddress:
    """A database's address as libpq's parameters, by their names, sorted."""

    items: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, url: SecretStr) -> Self:
        """The address that `url` spells, with a driver after the scheme (`postgresql+psycopg`) or without.

        Raises:
            AddressError: it can't be read without doubt, or names no database.
        """
        written = url.get_secret_value()
        scheme = _SCHEME.match(written)
        if scheme is None:
            raise AddressError(_FORM)
        rest = written[scheme.end() :]
        if not _UNAMBIGUOUS.fullmatch(rest):
            raise AddressError(_ESCAPED)
        address = cls.made_of(_parsed(f"postgresql://{rest}"))
        if "dbname" not in address.parameters:
            raise AddressError(f"{_FORM}: it names no database")
        if not all(_is_port(port) for port in address.parameters.get("port", "").split(",")):
            raise AddressError(f"{_FORM}: its port is not a number from 1 to 65535")
        if set(address.parameters.get("password", "")) & {"\n", "\r"}:
            raise AddressError("holds a line break in its password, which password files can't: choose another")
        return address

    @classmethod
    def made_of(cls, parameters: Mapping[str, str]) -> Self:
        """The address of these parameters."""
        return cls(tuple(sorted(parameters.items())))

    @classmethod
    def of_engine(cls, url: "URL") -> Self:
        """The address that an engine's `url`, which was made of one, stands for."""
        parts = {"user": url.username, "password": url.password, "host": url.host, "port": url.port}
        named = {**parts, "dbname": url.database, **url.query}
        return cls.made_of({name: str(value) for name, value in named.items() if value})

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of libpq, for psycopg and psycopg2: https://www.postgresql.org/docs/current/libpq-connect.html."""
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

    def beside(self, database: str) -> "DatabaseAddress":
        """The address of another database on the same server, by the same user."""
        return DatabaseAddress.made_of({**self.parameters, "dbname": database})

    def of_role(self, role: str, password: str | None) -> "DatabaseAddress":
        """The same database for another role: nothing that lets us in is left."""
        kept = {name: value for name, value in self.parameters.items() if name not in CREDENTIALS}
        return DatabaseAddress.made_of({**kept, "user": role, **({"password": password} if password else {})})

    @property
    def without_password(self) -> "DatabaseAddress":
        """The same address, for a place that may be read."""
        return DatabaseAddress(tuple(item for item in self.items if item[0] != "password"))

    def url(self, scheme: str = "postgresql") -> SecretStr:
        """The address as a URL that libpq and SQLAlchemy read alike, the password included."""
        rest = dict(self.parameters)
        user, password, database = rest.pop("user", ""), rest.pop("password", ""), rest.pop("dbname")
        who = ":".join(quote(each, safe="") for each in ((user, password) if password else (user,)))
        place = ""
        if _PLAIN_HOST.fullmatch(rest.get("host", "")) and "," not in rest.get("port", ""):
            host, port = rest.pop("host"), rest.pop("port", "")
            place = f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in rest.items())
        written = f"{scheme}://{f'{who}@' if who else ''}{place}/{quote(database, safe='')}"
        return SecretStr(f"{written}?{query}" if query else written)


def describe(url: SecretStr) -> str:
    """A database's address for people: host, port and name, with neither user nor password.

    Raises:
        AddressError: it can't be read.
    """
    return DatabaseAddress.of(url).where


def _parsed(uri: str) -> dict[str, str]:
    import psycopg  # a third of the time that reading the settings takes, where there is no address
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = {name: str(value) for name, value in conninfo_to_dict(uri).items() if value is not None}
    except (psycopg.Error, ValueError):  # libpq's words quote what they are about
        raise AddressError(_ESCAPED) from None
    return {name: value for name, value in found.items() if value.strip(",")}  # of several hosts, no port is ","


def _is_port(port: str) -> bool:
    return not port or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
