"""The quotes: their assets; the runs of the prices fill them too."""

import dagster as dg

QUOTE_TOPIC_KEY = dg.AssetKey(["kafka", "real_time_stock_quotes"])

QUOTE_TOPIC = dg.AssetSpec(
    QUOTE_TOPIC_KEY,
    group_name="quotes",
    kinds={"kafka", "python"},
    skippable=True,  # a replay has none
    description=(
        "Live quotes while a market of a watched symbol is open, one JSON message each, keyed by symbol. The "
        "producer's run publishes them with the bars; without Yahoo's WebSocket it polls, which its metadata shows."
    ),
)

QUOTE_MEASUREMENT_KEY = dg.AssetKey(["influxdb", "stock_quote_v1"])

QUOTE_MEASUREMENT = dg.AssetSpec(
    QUOTE_MEASUREMENT_KEY,
    deps=[QUOTE_TOPIC_KEY],
    group_name="quotes",
    kinds={"influxdb", "spark"},
    skippable=True,
    description=(
        "The quotes, queryable: tag symbol, fields price, bid, ask, change_percent, last_size, day_volume and "
        "market_phase as far as they are known, time of the tick with the record's offset below the millisecond. The "
        "stream's run writes them with the bars."
    ),
)
