"""The jobs and the state folders of the long-lived programs."""

from stock_assets.defs.prices.jobs import publish_prices, stream_prices
from stock_assets.market.reconcile import Role

JOB_OF = {Role.PRODUCER: publish_prices.name, Role.STREAM: stream_prices.name}
PROGRAM_OF = {Role.PRODUCER: "ingest", Role.STREAM: "stream"}  # what `state_of` calls it
