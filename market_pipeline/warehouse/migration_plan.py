"""What migrating a database would do: read from the migrations, with nothing run and nothing changed."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from market_pipeline.warehouse.database_errors import unavailable
from market_pipeline.warehouse.migration import alembic_config
from market_pipeline.warehouse.schema import check_known, current_revision, head_revision


@dataclass(frozen=True)
class Planned:
    """From which revision to which, what is between them in the order it would run, and its SQL.

    `found` is None for a database without tables of ours. Views and functions, which every migration makes anew, are
    not in `statements`.
    """

    found: str | None
    needed: str
    revisions: Sequence[str]
    statements: str


def planned(engine: Engine) -> Planned:
    """What `migrate` would run on a database.

    Raises:
        DatabaseUnavailableError: it can't be reached.
        SchemaError: it holds a schema that this version doesn't know.
    """
    try:
        with engine.connect() as connection:
            found = current_revision(connection)
    except (OperationalError, ProgrammingError) as error:
        raise unavailable(error, engine) from None
    if found is not None:
        check_known(found)
    scripts = ScriptDirectory.from_config(alembic_config())
    ahead = list(scripts.iterate_revisions(head_revision(), found or "base"))[::-1]
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    with Operations.context(context):
        for script in ahead:
            script.module.upgrade()
    return Planned(found, head_revision(), [f"{each.revision}: {each.doc}" for each in ahead], written.getvalue())
