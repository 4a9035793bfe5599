"""Only splits and dividends with a finite value; PostgreSQL sorts NaN above every number: `value > 0` let it pass."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Delete what no price can be adjusted with; a deleted row that Yahoo corrects is fetched again within a day."""
    # NaN is greater than Infinity in PostgreSQL: one comparison excludes both.
    op.execute("DELETE FROM corporate_action WHERE NOT (value > 0 AND value < 'Infinity')")
    op.execute(
        "UPDATE corporate_action SET close_before = NULL WHERE NOT (close_before > 0 AND close_before < 'Infinity')"
    )
    op.drop_constraint("corporate_action_value", "corporate_action")
    op.create_check_constraint("corporate_action_value", "corporate_action", "value > 0 AND value < 'Infinity'")
    op.create_check_constraint(
        "corporate_action_close_before", "corporate_action", "close_before > 0 AND close_before < 'Infinity'"
    )


def downgrade() -> None:
    """Allow every value above zero again; deleted rows stay deleted."""
    op.drop_constraint("corporate_action_close_before", "corporate_action")
    op.drop_constraint("corporate_action_value", "corporate_action")
    op.create_check_constraint("corporate_action_value", "corporate_action", "value > 0")
