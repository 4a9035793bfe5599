"""Evaluates the automation conditions; declared, because the implicit one is stopped by default."""

import dagster as dg

follow_automation = dg.AutomationConditionSensorDefinition(
    "follow_automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Starts what the assets' automation conditions ask for: company facts after New York's close.",
)
