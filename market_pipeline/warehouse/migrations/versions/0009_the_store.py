"""Bars refer to the load that brought them, loads have the order of their commits, and every version is kept.

`migrations.bar_conversion` converts most bars ahead of this, symbol by symbol; the rest is one transaction.
"""

from alembic import op

from market_pipeline.warehouse.migrations.scripts import escape_colons, read_script
from market_pipeline.warehouse.statements import read_views

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(read_script("0009_tables"))
    op.execute(read_script("0009_convert_bars"))
    op.execute(read_script("0009_finish"))
    op.execute(escape_colons(read_views()[0]))  # the functions that the triggers call
    op.execute(read_script("0009_triggers"))


def downgrade() -> None:
    op.execute(read_script("0009_back"))
