"""The settings of the code location, as a resource: definitions.py reads them once and hands them to all others."""

import dagster as dg

from stock_assets.settings import CodeLocationSettings

# A plain value, so Dagster's UI shows nothing of it: it holds secrets.
InjectedSettings = dg.ResourceParam[CodeLocationSettings]
