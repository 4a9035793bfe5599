"""Company facts with their newest rows, and the source's coverage."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create stock_info, company and ingest_coverage."""
    op.create_table(
        "stock_info",
        sa.Column("entry_date", sa.Date, nullable=False, comment="date on the exchange's wall calendar"),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("shortname", sa.Text),
        sa.Column("longname", sa.Text),
        sa.Column("industry", sa.Text),
        sa.Column("sector", sa.Text),
        sa.Column("marketcap", sa.BigInteger, comment="in currency"),
        sa.Column("forwardpe", sa.Numeric),
        sa.Column("trailingpe", sa.Numeric),
        sa.Column("currency", sa.Text),
        sa.Column("fiftytwoweekhigh", sa.Numeric, comment="in currency"),
        sa.Column("fiftytwoweeklow", sa.Numeric, comment="in currency"),
        sa.Column("fiftydayaverage", sa.Numeric, comment="in currency"),
        sa.Column("exchange", sa.Text),
        sa.Column("shortratio", sa.Numeric, comment="days to cover"),
        sa.PrimaryKeyConstraint("entry_date", "symbol"),
        comment="Facts about companies: a row a symbol and day.",
    )
    op.execute("CREATE VIEW company AS SELECT DISTINCT ON (symbol) * FROM stock_info ORDER BY symbol, entry_date DESC")
    op.create_table(
        "ingest_coverage",
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False, comment="what the answers came from; another origin starts anew"),
        sa.Column("covered_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("newest_bar", sa.DateTime(timezone=True)),
        sa.Column("last_answer", sa.Text, nullable=False),
        sa.Column("next_due", sa.DateTime(timezone=True), comment="null: the source has given all that it has"),
        sa.PrimaryKeyConstraint("symbol", "interval"),
        comment="What the source has been asked and has answered: says which bars are missing.",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("ingest_coverage")
    op.execute("DROP VIEW company")
    op.drop_table("stock_info")
