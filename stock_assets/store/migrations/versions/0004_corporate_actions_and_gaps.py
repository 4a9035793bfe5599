"""Splits and dividends, permanent gaps, answers of the source by kind, and more facts about companies."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_MORE_FACTS = {
    "country": (sa.Text, None),
    "website": (sa.Text, None),
    "employees": (sa.BigInteger, "full-time"),
    "beta": (sa.Numeric, None),
    "dividendyield": (sa.Numeric, "dividends of the last twelve months by the price: 0.02 is 2 %"),
    "nextearnings": (sa.Date, "date on the exchange's wall calendar"),
}
_COMPANY = "CREATE VIEW company AS SELECT DISTINCT ON (symbol) * FROM stock_info ORDER BY symbol, entry_date DESC"

# A price of a day from valid_from (none: ever) to before valid_until, times its factor, can be compared with a price of
# today; after the last action the factor is 1. Sums of logarithms are products, which SQL doesn't have.
_ADJUSTMENT = """
CREATE VIEW adjustment_factor AS
WITH days AS (
    SELECT symbol, ex_date,
        sum(CASE WHEN kind = 'split' THEN -ln(value) ELSE 0 END) AS split,
        sum(CASE WHEN kind = 'dividend' AND value < close_before THEN ln(1 - value / close_before) ELSE 0 END)
            AS dividend,
        bool_and(kind = 'split' OR close_before IS NOT NULL) AS complete
    FROM corporate_action GROUP BY symbol, ex_date
)
SELECT symbol,
    lag(ex_date) OVER (PARTITION BY symbol ORDER BY ex_date) AS valid_from,
    ex_date AS valid_until,
    round(exp(sum(split) OVER later), 12) AS split_factor,
    round(exp(sum(split + dividend) OVER later), 12) AS factor,
    bool_and(complete) OVER later AS complete
FROM days WINDOW later AS (PARTITION BY symbol ORDER BY ex_date DESC)
"""


def upgrade() -> None:
    """Create corporate_action, adjustment_factor, ingest_gap and source_answer; widen the tables that are there."""
    op.execute("DROP VIEW company")
    for name, (kind, comment) in _MORE_FACTS.items():
        op.add_column("stock_info", sa.Column(name, kind, comment=comment))
    op.execute(_COMPANY)
    op.add_column(
        "ingest_coverage",
        sa.Column("failures", sa.Integer, nullable=False, server_default="0", comment="failed answers in a row"),
    )
    op.create_table(
        "corporate_action",
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("ex_date", sa.Date, nullable=False, comment="the first day that trades without it"),
        sa.Column("kind", sa.Text, nullable=False, comment="split or dividend"),
        sa.Column("value", sa.Numeric, nullable=False, comment="new shares for one old, or money a share as declared"),
        sa.Column("currency", sa.Text, comment="of a dividend"),
        sa.Column("close_before", sa.Numeric, comment="as traded, of the last day before ex_date"),
        sa.PrimaryKeyConstraint("symbol", "ex_date", "kind"),
        sa.CheckConstraint("kind IN ('split', 'dividend')", "corporate_action_kind"),
        sa.CheckConstraint("value > 0", "corporate_action_value"),
        comment="Splits and dividends: prices are stored unadjusted.",
    )
    op.execute(_ADJUSTMENT)
    op.create_table(
        "ingest_gap",
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("interval", sa.Text, nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("symbol", "interval", "begins_at"),
        comment="Bars that are missing for good: when they were requested, the source no longer had them.",
    )
    op.create_table(
        "source_answer",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_for", sa.Text, nullable=False, comment="bars, company or actions"),
        sa.Column("kind", sa.Text, nullable=False, comment="ok, or how it refused"),
        sa.Column("answers", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hour", "asked_for", "kind"),
        comment="How the source answered: a count an hour and kind.",
    )


def downgrade() -> None:
    """Take all of it away again."""
    op.drop_table("source_answer")
    op.drop_table("ingest_gap")
    op.execute("DROP VIEW adjustment_factor")
    op.drop_table("corporate_action")
    op.drop_column("ingest_coverage", "failures")
    op.execute("DROP VIEW company")
    for name in _MORE_FACTS:
        op.drop_column("stock_info", name)
    op.execute(_COMPANY)
