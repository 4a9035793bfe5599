"""The tables of a source's schema. The connection's search path selects the schema."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

stock_info = Table(
    "stock_info",
    metadata,
    Column("entry_date", Date, nullable=False, comment="date on the exchange's wall calendar"),
    Column("symbol", Text, nullable=False),
    Column("shortname", Text),
    Column("longname", Text),
    Column("industry", Text),
    Column("sector", Text),
    Column("marketcap", BigInteger, comment="in currency"),
    Column("forwardpe", Numeric),
    Column("trailingpe", Numeric),
    Column("currency", Text),
    Column("fiftytwoweekhigh", Numeric, comment="in currency"),
    Column("fiftytwoweeklow", Numeric, comment="in currency"),
    Column("fiftydayaverage", Numeric, comment="in currency"),
    Column("exchange", Text),
    Column("shortratio", Numeric, comment="days to cover"),
    Column("country", Text),
    Column("website", Text),
    Column("employees", BigInteger, comment="full-time"),
    Column("beta", Numeric),
    Column("dividendyield", Numeric, comment="dividends of the last twelve months by the price: 0.02 is 2 %"),
    Column("nextearnings", Date, comment="date on the exchange's wall calendar"),
    PrimaryKeyConstraint("entry_date", "symbol"),
    comment="Facts about companies: a row a symbol and day.",
)

ingest_coverage = Table(
    "ingest_coverage",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("origin", Text, nullable=False, comment="what the answers came from; another origin starts anew"),
    Column("covered_until", DateTime(timezone=True), nullable=False),
    Column("newest_bar", DateTime(timezone=True)),
    Column("last_answer", Text, nullable=False),
    Column("next_due", DateTime(timezone=True), comment="null: the source has given all that it has"),
    Column("failures", Integer, nullable=False, comment="failed answers in a row"),
    PrimaryKeyConstraint("symbol", "interval"),
    comment="What the source has been asked and has answered: says which bars are missing.",
)

watchlist = Table(
    "watchlist",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("removed_at", DateTime(timezone=True), comment="null: it is watched"),
    comment="Symbols that are, or were, watched; one that was removed is not seeded again.",
)

check_verdict = Table(
    "check_verdict",
    metadata,
    Column("check_name", Text, primary_key=True),
    Column("asset", Text, nullable=False, comment="as kafka/real_time_stock_prices"),
    Column("severity", Text, nullable=False, comment="of a failure: WARN or ERROR"),
    Column("passed", Boolean, nullable=False),
    Column("summary", Text, nullable=False),
    Column("rows", JSONB, nullable=False, comment="the numbers: a list of objects"),
    Column("judged_at", DateTime(timezone=True), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, comment="since when every evaluation has had this result"),
    comment="The newest verdict of each asset check.",
)

pipeline_run = Table(
    "pipeline_run",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("role", Text, comment="producer or stream; null of other runs"),
    Column("job", Text, nullable=False, comment="of a run without one: the assets that it makes"),
    Column("status", Text, nullable=False, comment="as Dagster says: QUEUED, STARTED, SUCCESS, FAILURE …"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("summary", Text, nullable=False, comment="why it was started, or why it failed"),
    comment="Dagster's runs, as long as they are kept.",
)

corporate_action = Table(
    "corporate_action",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("ex_date", Date, nullable=False, comment="the first day that trades without it"),
    Column("kind", Text, nullable=False, comment="split or dividend"),
    Column("value", Numeric, nullable=False, comment="new shares for one old, or money a share as declared"),
    Column("currency", Text, comment="of a dividend"),
    Column("close_before", Numeric, comment="as traded, of the last day before ex_date"),
    PrimaryKeyConstraint("symbol", "ex_date", "kind"),
    comment="Splits and dividends: prices are stored unadjusted.",
)

ingest_gap = Table(
    "ingest_gap",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("begins_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("why", Text, nullable=False),
    PrimaryKeyConstraint("symbol", "interval", "begins_at"),
    comment="Bars that are missing for good: when they were requested, the source no longer had them.",
)

source_answer = Table(
    "source_answer",
    metadata,
    Column("hour", DateTime(timezone=True), nullable=False),
    Column("asked_for", Text, nullable=False, comment="bars, company or actions"),
    Column("kind", Text, nullable=False, comment="ok, or how it refused"),
    Column("answers", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour", "asked_for", "kind"),
    comment="How the source answered: a count an hour and kind.",
)

session_summary = Table(
    "session_summary",
    metadata,
    Column("session_date", Date, nullable=False, comment="as the exchange counts its trading days"),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False, comment="of the bars that it was made from"),
    Column("opens_at", DateTime(timezone=True), nullable=False, comment="by the exchange's calendar"),
    Column("closes_at", DateTime(timezone=True), nullable=False, comment="by the exchange's calendar"),
    Column("open", Double, comment="null, as the other prices: no bar of the session is stored"),
    Column("high", Double),
    Column("low", Double),
    Column("close", Double),
    Column("volume", BigInteger, comment="in shares"),
    Column("vwap", Double, comment="mean of the bars' (high + low + close) / 3 by volume; null without volume"),
    Column("bars_expected", Integer, nullable=False, comment="by the exchange's calendar"),
    Column("bars_stored", Integer, nullable=False, comment="of those that are expected"),
    Column("bars_missing", Integer, nullable=False, comment="also those that the source never had: a halt, no trade"),
    Column("summarised_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("session_date", "symbol", "interval"),
    comment="What the stored bars of a trading session come to; without bars before the open and after the close.",
)

session_repair = Table(
    "session_repair",
    metadata,
    Column("session_date", Date, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("bars_stored", Integer, nullable=False, comment="when it was requested"),
    Column("asked_at", DateTime(timezone=True), comment="null: the source was not asked again yet"),
    Column("bars_given", Integer, comment="of those that were missing, how many the source gave"),
    Column("finished_at", DateTime(timezone=True), comment="null: what was given is not all stored yet"),
    PrimaryKeyConstraint("session_date", "symbol", "interval"),
    comment="Sessions with gaps for which the source is asked again: once.",
)

notice = Table(
    "notice",
    metadata,
    Column("subject", Text, nullable=False, comment="as check:prices_are_fresh, run:stream_prices"),
    Column("since", DateTime(timezone=True), nullable=False, comment="when the incident began"),
    Column("kind", Text, nullable=False, comment="began, worse or over"),
    Column("severity", Text, nullable=False, comment="warning or error"),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("written_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True), comment="null: an address does not have it yet"),
    Column("told", JSONB, nullable=False, comment="fingerprints of the addresses that have it"),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", DateTime(timezone=True)),
    Column("error", Text, nullable=False, comment="of the last attempt"),
    PrimaryKeyConstraint("subject", "since", "kind"),
    comment="Notifications about incidents, delivered or still to be delivered: none twice.",
)
