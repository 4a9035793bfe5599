"""The newest evaluation of each check, and Dagster's runs, for readers without access to Dagster."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create check_verdict and pipeline_run."""
    op.create_table(
        "check_verdict",
        sa.Column("check_name", sa.Text, primary_key=True),
        sa.Column("asset", sa.Text, nullable=False, comment="as kafka/real_time_stock_prices"),
        sa.Column("severity", sa.Text, nullable=False, comment="of a failure: WARN or ERROR"),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("rows", JSONB, nullable=False, comment="the numbers: a list of objects"),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="since when every evaluation has had this result",
        ),
        comment="The newest verdict of each asset check.",
    )
    op.create_table(
        "pipeline_run",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, comment="producer or stream; null of other runs"),
        sa.Column("job", sa.Text, nullable=False, comment="of a run without one: the assets that it makes"),
        sa.Column("status", sa.Text, nullable=False, comment="as Dagster says: QUEUED, STARTED, SUCCESS, FAILURE …"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("summary", sa.Text, nullable=False, comment="why it was started, or why it failed"),
        comment="Dagster's runs, as long as they are kept.",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("pipeline_run")
    op.drop_table("check_verdict")
