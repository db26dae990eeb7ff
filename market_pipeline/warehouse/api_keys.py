"""Keys of the API: making, accepting and revoking them, and the audit trail of their use.

They are kept in a schema of their own, `access`, closed to analysts and to the API's reading role. A key is shown once;
only a hash of it is kept. The API knows which request needs which scope.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import SecretStr
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    func,
    insert,
    or_,
    select,
    update,
)

from market_pipeline.core.errors import UsageError
from market_pipeline.warehouse.tables import metadata as warehouse_metadata

SCHEMA = "access"
_SHAPE = re.compile(r"mdw_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
_STALE = timedelta(minutes=1)
"""Precision of `last_used`: a write for every request would cost more than the request."""

access_metadata = MetaData(schema=SCHEMA, naming_convention=warehouse_metadata.naming_convention)
_Instant = DateTime(timezone=True)

api_keys = Table(
    "api_keys",
    access_metadata,
    Column("id", Text, primary_key=True, comment="Identifies the key: its first part, and no secret."),
    Column("key_hash", Text, nullable=False, comment="SHA-256 of the whole key, in hex."),
    Column("name", Text, nullable=False, comment="Its owner or purpose, for people."),
    Column("scope", Text, nullable=False, comment="read or admin."),
    Column("created_at", _Instant, nullable=False, server_default=func.now(), comment="When it was made."),
    Column("expires_at", _Instant, comment="From when it is rejected; NULL for never."),
    Column("revoked_at", _Instant, comment="From when it is rejected because it was revoked; NULL if it wasn't."),
    Column("last_used", _Instant, comment="When it was last accepted, to the minute; NULL if never."),
    CheckConstraint("scope IN ('read', 'admin')", name="scope"),
    comment="The API's keys. A revoked one stays, so that its audit trail does.",
)

api_key_audit = Table(
    "api_key_audit",
    access_metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    Column("api_key_id", Text, ForeignKey(api_keys.c.id), nullable=False, comment="The key, which is never deleted."),
    Column("at", _Instant, nullable=False, server_default=func.now(), comment="When the request was answered."),
    Column("method", Text, nullable=False, comment="e.g. POST."),
    Column("endpoint", Text, nullable=False, comment="The path, without a query."),
    Column("status_code", Integer, nullable=False, comment="The response's status."),
    Index(None, "api_key_id", "at"),
    comment="Every request with a key to an endpoint for administrators.",
)


class Scope(StrEnum):
    """The scope of a key: reading, or reading and administration."""

    READ = "read"
    ADMIN = "admin"


class KeyRequestError(UsageError):
    """A request for a key that can't be made."""


class UnknownKeyError(UsageError):
    """No key has this id."""


@dataclass(frozen=True)
class ApiKey:
    """An accepted key."""

    id: str
    name: str
    scope: Scope


def create_key(engine: Engine, name: str, scope: Scope, lifetime: timedelta | None = None) -> SecretStr:
    """Make a key and return it, for the only time.

    Raises:
        KeyRequestError: it has no name, or no time to live.
    """
    if not name.strip() or len(name) > 100:
        raise KeyRequestError("a key needs a name of 1 to 100 characters: whose it is, or what for")
    if lifetime is not None and lifetime <= timedelta(0):
        raise KeyRequestError("a key that has expired already is of no use: give it a day or more")
    public = secrets.token_hex(6)
    key = f"mdw_{public}_{secrets.token_hex(32)}"
    expires = None if lifetime is None else func.now() + lifetime
    values = {
        "id": public,
        "key_hash": _hash_key(key),
        "name": name.strip(),
        "scope": scope.value,
        "expires_at": expires,
    }
    with engine.begin() as connection:
        connection.execute(insert(api_keys).values(**values))
    return SecretStr(key)


def accept_key(engine: Engine, key: SecretStr) -> ApiKey | None:
    """Return the key if it is known and neither revoked nor expired; else None."""
    shape = _SHAPE.fullmatch(key.get_secret_value())
    if shape is None:
        return None
    columns = api_keys.c
    is_key = columns.id == shape[1]
    query = select(columns.id, columns.key_hash, columns.name, columns.scope).where(is_key & _is_accepted())
    with engine.begin() as connection:
        row = connection.execute(query).first()
        if row is None or not hmac.compare_digest(row.key_hash, _hash_key(key.get_secret_value())):
            return None
        unused = columns.last_used.is_(None) | (columns.last_used < func.now() - _STALE)
        connection.execute(update(api_keys).where(is_key, unused).values(last_used=func.now()))
    return ApiKey(row.id, row.name, Scope(row.scope))


def record_use(engine: Engine, key: ApiKey, method: str, endpoint: str, status_code: int) -> None:
    """Add a line to the key's audit trail."""
    line = {"api_key_id": key.id, "method": method, "endpoint": endpoint, "status_code": status_code}
    with engine.begin() as connection:
        connection.execute(insert(api_key_audit).values(**line))


def list_keys(engine: Engine) -> Sequence[Row]:  # type: ignore[type-arg]
    """Return every key there ever was, oldest first, without its hash.

    `request_count` is the number of lines in its audit trail, `active` is true if it would be accepted now.
    """
    with engine.connect() as connection:
        return connection.execute(_select_shown().order_by(api_keys.c.created_at, api_keys.c.id)).all()


def find_key(engine: Engine, key_id: str) -> Row:  # type: ignore[type-arg]
    """Return one key with the columns of `list_keys`.

    Raises:
        UnknownKeyError: there is no such key.
    """
    with engine.connect() as connection:
        row = connection.execute(_select_shown().where(api_keys.c.id == key_id)).first()
    if row is None:
        raise UnknownKeyError(f"there is no key {key_id!r}: `market-pipeline keys list` shows what there is")
    return row


def _select_shown() -> Select:  # type: ignore[type-arg]
    shown = [column for column in api_keys.c if column is not api_keys.c.key_hash]
    lines = select(func.count()).where(api_key_audit.c.api_key_id == api_keys.c.id).scalar_subquery()
    return select(*shown, lines.label("request_count"), _is_accepted().label("active"))


def read_audit_trail(engine: Engine, key_id: str, limit: int, offset: int = 0) -> Sequence[Row]:  # type: ignore[type-arg]
    """Return the lines of a key's audit trail, newest first, after skipping `offset` of them.

    Raises:
        UnknownKeyError: there is no such key.
    """
    find_key(engine, key_id)
    trail = api_key_audit.c
    query = (
        select(trail.id, trail.at, trail.method, trail.endpoint, trail.status_code)
        .where(trail.api_key_id == key_id)
        .order_by(trail.id.desc())
        .limit(limit)
        .offset(offset)
    )
    with engine.connect() as connection:
        return connection.execute(query).all()


def revoke_key(engine: Engine, key_id: str) -> datetime:
    """Reject a key from now on, keep its audit trail, and return the instant of its revocation.

    Raises:
        UnknownKeyError: there is no such key.
    """
    find_key(engine, key_id)
    is_key = api_keys.c.id == key_id
    with engine.begin() as connection:
        connection.execute(
            update(api_keys).where(is_key, api_keys.c.revoked_at.is_(None)).values(revoked_at=func.now())
        )
        revoked: datetime = connection.execute(select(api_keys.c.revoked_at).where(is_key)).scalar_one()
    return revoked


def restore_key(engine: Engine, key_id: str) -> None:
    """Accept a revoked key again, if it has not expired.

    Raises:
        UnknownKeyError: there is no such key.
    """
    find_key(engine, key_id)
    with engine.begin() as connection:
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=None))


def _is_accepted() -> ColumnElement[bool]:
    """Return the SQL condition that a key is accepted now."""
    columns = api_keys.c
    return columns.revoked_at.is_(None) & or_(columns.expires_at.is_(None), columns.expires_at > func.now())


def _hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
