"""Notifications, so that none is sent twice."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create notice."""
    op.create_table(
        "notice",
        sa.Column("subject", sa.Text, nullable=False, comment="as check:prices_are_fresh, run:stream_prices"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="when the incident began"),
        sa.Column("kind", sa.Text, nullable=False, comment="began, worse or over"),
        sa.Column("severity", sa.Text, nullable=False, comment="warning or error"),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), comment="null: an address does not have it yet"),
        sa.Column("told", JSONB, nullable=False, comment="fingerprints of the addresses that have it"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text, nullable=False, comment="of the last attempt"),
        sa.PrimaryKeyConstraint("subject", "since", "kind"),
        comment="Notifications about incidents, delivered or still to be delivered: none twice.",
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("notice")
