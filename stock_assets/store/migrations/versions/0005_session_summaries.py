"""What the sessions' bars come to, and which sessions the source was asked for again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create session_summary and session_repair."""
    op.create_table(
        "session_summary",
        sa.Column("session_date", sa.Date, nullable=False, comment="as the exchange counts its trading days"),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False, comment="of the bars that it was made from"),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False, comment="by the exchange's calendar"),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False, comment="by the exchange's calendar"),
        sa.Column("open", sa.Double, comment="null, as the other prices: no bar of the session is stored"),
        sa.Column("high", sa.Double),
        sa.Column("low", sa.Double),
        sa.Column("close", sa.Double),
        sa.Column("volume", sa.BigInteger, comment="in shares"),
        sa.Column(
            "vwap", sa.Double, comment="mean of the bars' (high + low + close) / 3 by volume; null without volume"
        ),
        sa.Column("bars_expected", sa.Integer, nullable=False, comment="by the exchange's calendar"),
        sa.Column("bars_stored", sa.Integer, nullable=False, comment="of those that are expected"),
        sa.Column(
            "bars_missing", sa.Integer, nullable=False, comment="also those that the source never had: a halt, no trade"
        ),
        sa.Column("summarised_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_date", "symbol", "interval"),
        comment="What the stored bars of a trading session come to; without bars before the open and after the close.",
    )
    op.create_table(
        "session_repair",
        sa.Column("session_date", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bars_stored", sa.Integer, nullable=False, comment="when it was requested"),
        sa.Column("asked_at", sa.DateTime(timezone=True), comment="null: the source was not asked again yet"),
        sa.Column("bars_given", sa.Integer, comment="of those that were missing, how many the source gave"),
        sa.Column("finished_at", sa.DateTime(timezone=True), comment="null: what was given is not all stored yet"),
        sa.PrimaryKeyConstraint("session_date", "symbol", "interval"),
        comment="Sessions with gaps for which the source is asked again: once.",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("session_repair")
    op.drop_table("session_summary")
