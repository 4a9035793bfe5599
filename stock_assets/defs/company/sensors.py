"""Evaluates the automation conditions; declared, because the implicit one is stopped by default."""

import dagster as dg

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    use_user_code_server=True,  # a condition of our own, session_is_due, is known there alone
    description=(
        "Starts what the assets' automation conditions ask for: company facts after New York's close, summaries of "
        "sessions after each exchange's."
    ),
)
