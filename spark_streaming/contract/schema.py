"""What the programs exchange: topics, buckets, measurements, tags, fields and their names.

Everything is kept per source. `yahoo` has the plain names, every other source has a suffix, so that
recorded or simulated prices can't be taken for Yahoo's.
"""

from dataclasses import dataclass
from enum import StrEnum

TOPIC = "real-time-stock-prices"
BUCKET = "stock-prices"
MEASUREMENT = "stock-price-v1"
QUOTE_TOPIC = "real-time-stock-quotes"
QUOTE_MEASUREMENT = "stock-quote-v1"  # in the bucket of the bars
PIPELINE_MEASUREMENT = "pipeline-metrics"  # the stream's own figures, in the bucket of the bars
POSTGRES_SCHEMA = "stocks"

# A different number means a new topic: a symbol would move to another partition, and offsets of two partitions
# don't compare.
PARTITIONS = 4

# Limits of a message, in bytes. A dead letter carries the message and headers, so its topic allows more.
MAX_MESSAGE_BYTES = 1_048_576
MAX_DEAD_LETTER_BYTES = MAX_MESSAGE_BYTES + 64 * 1024

TAGS = ("interval", "symbol")  # sorted, as InfluxDB wants them
PRICE_FIELDS = ("open", "high", "low", "close")
VOLUME_FIELD = "volume"

# A quote has a symbol, a time in milliseconds and a price; all else is left out where it isn't known.
QUOTE_TAGS = ("symbol",)
QUOTE_FLOATS = ("price", "bid", "ask", "change_percent")
QUOTE_INTEGERS = ("last_size", "day_volume")
QUOTE_TEXT = "market_phase"

# Headers of a dead letter; every value is UTF-8 text.
HEADER_REASON = "reason"
HEADER_ERROR = "error"
HEADER_TOPIC = "source.topic"
HEADER_PARTITION = "source.partition"
HEADER_OFFSET = "source.offset"
HEADER_TIMESTAMP = "source.timestamp"  # milliseconds since 1970, UTC: the Kafka record's own

# A record of the dead-letter topic with this header is no dead letter: it settles the one of its partition and offset.
HEADER_SETTLEMENT = "settlement"
HEADER_NOTE = "note"


class Source(StrEnum):
    """Where bars come from."""

    YAHOO = "yahoo"
    REPLAY = "replay"
    SIMULATED = "simulated"

    @property
    def is_live(self) -> bool:
        """Whether the prices are the market's own, as they happen."""
        return self is Source.YAHOO

    @property
    def suffix(self) -> str:
        """`""` for yahoo, `"-replay"` and `"-simulated"` for the others."""
        return "" if self.is_live else f"-{self.value}"

    @property
    def has_quotes(self) -> bool:
        """Whether it gives quotes as well as bars: a file of recorded bars has none."""
        return self is not Source.REPLAY


class MarketPhase(StrEnum):
    """Which part of the trading day a quote is of."""

    PRE = "pre"
    REGULAR = "regular"
    POST = "post"
    EXTENDED = "extended"
    OVERNIGHT = "overnight"


@dataclass(frozen=True)
class SourceNames:
    """The topics, bucket, schema and database that belong to one source and to no other."""

    topic: str
    dead_letter_topic: str
    quote_topic: str
    quote_dead_letter_topic: str
    bucket: str
    postgres_schema: str
    dagster_database: str


def source_names(
    source: Source, topic: str = TOPIC, bucket: str = BUCKET, quote_topic: str = QUOTE_TOPIC
) -> SourceNames:
    """Return the names of `source`, made from the plain topics and bucket of the settings."""
    underscored = source.suffix.replace("-", "_")
    return SourceNames(
        topic=f"{topic}{source.suffix}",
        dead_letter_topic=f"{topic}{source.suffix}.dead-letter",
        quote_topic=f"{quote_topic}{source.suffix}",
        quote_dead_letter_topic=f"{quote_topic}{source.suffix}.dead-letter",
        bucket=f"{bucket}{source.suffix}",
        postgres_schema=f"{POSTGRES_SCHEMA}{underscored}",
        dagster_database=f"dagster{underscored}",
    )
