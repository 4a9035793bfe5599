"""The job of the company facts."""

import dagster as dg

from stock_assets.defs.company.assets import ACTIONS_KEY, COMPANY_KEY, STOCK_INFO_KEY

refresh_companies = dg.define_asset_job(
    "refresh_companies",
    selection=dg.AssetSelection.assets(STOCK_INFO_KEY, COMPANY_KEY, ACTIONS_KEY).without_checks(),
    description="Fetches the facts, splits and dividends of every company from the source, now.",
)
