"""The symbols that a source is asked for, as people change them while it runs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create watchlist."""
    op.create_table(
        "watchlist",
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), comment="null: it is watched"),
        comment="Symbols that are, or were, watched; one that was removed is not seeded again.",
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("watchlist")
