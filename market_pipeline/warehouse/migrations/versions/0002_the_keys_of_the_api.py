"""The keys of the read API, and runs that it has started."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TRIGGERS = "What started the run: cli, schedule, backfill (from the UI) or manual."
TRIGGERS_WITH_API = "What started the run: cli, schedule, api, backfill (from the UI) or manual."


def upgrade() -> None:
    op.execute("CREATE SCHEMA access")
    op.create_table(
        "api_keys",
        sa.Column(
            "id", sa.Text(), nullable=False, comment="What tells the key from others; its first part, and no secret."
        ),
        sa.Column("key_hash", sa.Text(), nullable=False, comment="SHA-256 of the whole key, in hex."),
        sa.Column("name", sa.Text(), nullable=False, comment="Whose it is, for people."),
        sa.Column("scope", sa.Text(), nullable=False, comment="read or admin."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was made.",
        ),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=True, comment="From when it is refused; NULL for never."
        ),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="From when it is refused because it was revoked; NULL if it wasn't.",
        ),
        sa.Column(
            "last_used",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was last accepted, to the minute; NULL if never.",
        ),
        sa.CheckConstraint("scope IN ('read', 'admin')", name=op.f("api_keys_scope_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        schema="access",
        comment="The API's keys. A revoked one stays, so that its audit trail does.",
    )
    op.create_table(
        "api_key_audit",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column("api_key_id", sa.Text(), nullable=False, comment="The key, which is never deleted."),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the request was answered.",
        ),
        sa.Column("method", sa.Text(), nullable=False, comment="e.g. POST."),
        sa.Column("endpoint", sa.Text(), nullable=False, comment="The path, without a query."),
        sa.Column("status_code", sa.Integer(), nullable=False, comment="What it was answered with."),
        sa.ForeignKeyConstraint(
            ["api_key_id"],
            ["access.api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_key_audit_pkey")),
        schema="access",
        comment="Every request that a key was given for to an endpoint for administrators.",
    )
    op.create_index(
        op.f("api_key_audit_api_key_id_at_idx"), "api_key_audit", ["api_key_id", "at"], unique=False, schema="access"
    )
    op.alter_column("backfill_history", "trigger", comment=TRIGGERS_WITH_API, existing_comment=TRIGGERS)


def downgrade() -> None:
    op.alter_column("backfill_history", "trigger", comment=TRIGGERS, existing_comment=TRIGGERS_WITH_API)
    op.drop_table("api_key_audit", schema="access")
    op.drop_table("api_keys", schema="access")
    op.execute("DROP SCHEMA access")
