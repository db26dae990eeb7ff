"""How alembic runs here: on the connection it is handed, inside the caller's transaction."""

from alembic import context

from market_pipeline.warehouse.api_keys import access_metadata
from market_pipeline.warehouse.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=[metadata, access_metadata])
context.run_migrations()
