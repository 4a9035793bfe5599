"""When Dagster starts the company facts automatically."""

from datetime import UTC, datetime

import dagster as dg

from stock_assets.defs.company.assets import COMPANY_KEY, STOCK_INFO_KEY, company, stock_info

DEFINITIONS = dg.Definitions(assets=[stock_info, company], resources={"postgres": object(), "settings": object()})


def requested(instance: dg.DagsterInstance, at: str, cursor: object = None) -> tuple[set[dg.AssetKey], object]:
    result = dg.evaluate_automation_conditions(
        DEFINITIONS,
        instance,
        evaluation_time=datetime.fromisoformat(at).replace(tzinfo=UTC),
        cursor=cursor,  # type: ignore[arg-type]
    )
    keys = {key for key in (STOCK_INFO_KEY, COMPANY_KEY) if result.get_num_requested(key)}
    return keys, result.cursor


def test_the_first_start_asks_for_facts_once_and_the_view_follows() -> None:
    instance = dg.DagsterInstance.ephemeral()
    first, cursor = requested(instance, "2026-11-22T12:00:00")  # a Sunday
    assert first == {STOCK_INFO_KEY}
    again, cursor = requested(instance, "2026-11-22T12:00:30", cursor)
    assert again == set()
    instance.report_runless_asset_event(dg.AssetMaterialization(STOCK_INFO_KEY))
    then, _ = requested(instance, "2026-11-22T12:01:00", cursor)
    assert then == {COMPANY_KEY}


def test_facts_come_anew_after_new_yorks_close_on_a_trading_day_only() -> None:
    instance = dg.DagsterInstance.ephemeral()
    for key in (STOCK_INFO_KEY, COMPANY_KEY):
        instance.report_runless_asset_event(dg.AssetMaterialization(key))
    nothing, cursor = requested(instance, "2026-11-20T21:29:00")  # Friday, 16:29 in New York
    assert nothing == set()
    friday, cursor = requested(instance, "2026-11-20T21:31:00", cursor)
    assert friday == {STOCK_INFO_KEY, COMPANY_KEY}
    sunday, _ = requested(instance, "2026-11-22T21:31:00", cursor)
    assert sunday == set()
