"""How alembic runs here: on the connection it is handed, inside the caller's transaction."""

from alembic import context

from market_pipeline.warehouse.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
