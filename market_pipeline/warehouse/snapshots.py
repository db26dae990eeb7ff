"""Named snapshots: instants kept under a name, so that the same data can be read and exported again.

A snapshot takes no space: earlier versions of everything are kept anyway, and what is stored as of a settled instant
never changes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from market_pipeline.core.errors import UsageError
from market_pipeline.core.wording import name_some
from market_pipeline.warehouse.bar_tables import snapshots
from market_pipeline.warehouse.loads import describe_point, settle

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class SnapshotError(UsageError):
    """A name that no snapshot can have, that is taken, or that no snapshot has."""


@dataclass(frozen=True)
class NamedSnapshot:
    """A snapshot; the fields are the columns of `snapshots`."""

    name: str
    point: datetime
    created_at: datetime
    note: str | None


def create_snapshot(
    engine: Engine, name: str, *, as_of: datetime | None = None, note: str | None = None
) -> NamedSnapshot:
    """Keep an instant under a name: `as_of`, or the present by the database's clock. It is settled first.

    Raises:
        SnapshotError: the name is invalid or taken.
        NoInstantError: `as_of` has no time zone, or is in the future.
        UnsettledError: loads under way may still change what is stored as of it.
    """
    if not NAME.fullmatch(name):
        raise SnapshotError(
            f"{name!r} can't be a snapshot's name: use up to 100 letters, digits, dots, dashes and underscores, the "
            "first a letter or digit"
        )
    point = settle(engine, as_of)
    adding = insert(snapshots).values(name=name, point=point, note=note).on_conflict_do_nothing()
    with engine.begin() as connection:
        row = connection.execute(adding.returning(*snapshots.c)).one_or_none()
    if row is None:
        taken = find_snapshot(engine, name)
        raise SnapshotError(
            f"there is a snapshot {name} already, as of {describe_point(taken.point)}: choose another name, or delete "
            f"it first with `market-pipeline snapshots delete {name}`"
        )
    return _build_snapshot(row)


def list_snapshots(engine: Engine) -> Sequence[NamedSnapshot]:
    """Return all snapshots, in the order of their points."""
    query = select(*snapshots.c).order_by(snapshots.c.point, snapshots.c.name)
    with engine.connect() as connection:
        return [_build_snapshot(row) for row in connection.execute(query)]


def find_snapshot(engine: Engine, name: str) -> NamedSnapshot:
    """Return the snapshot of a name.

    Raises:
        SnapshotError: there is none.
    """
    with engine.connect() as connection:
        row = connection.execute(select(*snapshots.c).where(snapshots.c.name == name)).one_or_none()
    if row is None:
        raise _build_unknown_error(engine, name)
    return _build_snapshot(row)


def delete_snapshot(engine: Engine, name: str) -> NamedSnapshot:
    """Delete a snapshot and return it. What is stored as of its point stays.

    Raises:
        SnapshotError: there is none of this name.
    """
    with engine.begin() as connection:
        deleting = delete(snapshots).where(snapshots.c.name == name).returning(*snapshots.c)
        row = connection.execute(deleting).one_or_none()
    if row is None:
        raise _build_unknown_error(engine, name)
    return _build_snapshot(row)


def _build_snapshot(row: Row[Any]) -> NamedSnapshot:
    return NamedSnapshot(name=row.name, point=row.point, created_at=row.created_at, note=row.note)


def _build_unknown_error(engine: Engine, name: str) -> SnapshotError:
    known = [snapshot.name for snapshot in list_snapshots(engine)]
    present = f"there is {name_some(known)}" if known else "there is none yet; `market-pipeline snapshots create NAME`"
    return SnapshotError(f"there is no snapshot {name!r}: {present}")
