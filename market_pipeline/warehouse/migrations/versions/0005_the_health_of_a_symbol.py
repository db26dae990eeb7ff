"""The health of a symbol in the view `coverage`, which every migration replaces; no table changes."""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
