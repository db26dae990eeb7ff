"""Alembic's environment: the caller's connection and transaction."""

from alembic import context

from market_pipeline.warehouse.api_keys import access_metadata
from market_pipeline.warehouse.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=[metadata, access_metadata])
context.run_migrations()
