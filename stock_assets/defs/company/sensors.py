"""Evaluates the automation conditions; declared, because the implicit one is stopped by default."""

import dagster as dg

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    use_user_code_server=True,  # the condition session_is_due is defined there only
    description=(
        "Starts the runs that the assets' automation conditions request: company facts after New York's close, "
        "summaries of sessions after each exchange's."
    ),
)
