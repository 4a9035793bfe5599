"""The summary of each trading session, in PostgreSQL."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.defs.prices.assets import MEASUREMENT_KEY
from stock_assets.defs.sessions.conditions import SUMMARY_KEY, after_each_close
from stock_assets.defs.sessions.partitions import make_partitions
from stock_assets.market.sessions import SessionSummary
from stock_assets.operations.asset_metadata import column_schema
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.resources.spark import SmallSparkResource
from stock_assets.sessions.dates import DATE, session_dates
from stock_assets.sessions.summaries import make_bar_store, sessions_to_summarise, sheet_metadata, summarise
from stock_assets.sessions.watched import watched_coverage
from stock_assets.settings import CodeLocationSettings
from stock_assets.store import tables
from stock_assets.store.session_summaries import write_summaries

_SHOWN = 50  # rows of a table in the UI
# A backstop for weekends, holidays and Tokyo's ten days off; session_is_complete knows each exchange's calendar.
_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=11))
_AT_ONCE = 2_500  # sessions of one Spark query: a year of ten symbols


def make_session_summary(settings: CodeLocationSettings) -> dg.AssetsDefinition:
    """Return the asset, partitioned by session date."""

    @dg.asset(
        key=SUMMARY_KEY,
        deps=[MEASUREMENT_KEY],
        partitions_def=make_partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=after_each_close(settings),
        group_name="sessions",
        kinds={"postgres", "spark"},
        freshness_policy=_FRESHNESS if settings.source.is_live else None,
        metadata={"dagster/column_schema": column_schema(tables.session_summary)},
        retry_policy=dg.RetryPolicy(max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL),
        description=(
            "Open, high, low, close, volume and VWAP of each trading session, and how many of its bars are stored; a "
            "row a session date, symbol and interval. A partition is a date on which an exchange trades; symbols of "
            "another exchange, closed on that day, have no row. Made after each close, and again after a repair. "
            "A backfill of any length is one run."
        ),
    )
    def session_summary(
        context: dg.AssetExecutionContext,
        pyspark: SmallSparkResource,
        influxdb: InfluxDBResource,
        postgres: PostgresResource,
    ) -> dg.MaterializeResult[None]:
        """Summarise the stored bars of the partitions' sessions."""
        moment = now()
        dates = session_dates(context.partition_keys)
        stored, coverage = influxdb.stored(), watched_coverage(settings, postgres, moment)
        sessions = sessions_to_summarise(settings, dates, coverage, stored, moment)
        context.log.info("%d sessions of %d days", len(sessions), len(dates))
        spark, rows = pyspark.spark_session, []
        for begin in range(0, len(sessions), _AT_ONCE):
            some = summarise(spark, make_bar_store(settings, influxdb), sessions[begin : begin + _AT_ONCE], moment)
            write_summaries(postgres.engine, some)
            rows += some
        newest = max((row.session_date for row in rows if row.bars_stored), default=None)
        if newest is not None:  # of a backfill only the newest one: each picture is stored in Dagster's event log
            sheet = sheet_metadata(settings, spark, make_bar_store(settings, influxdb), newest, sessions, moment)
            context.add_asset_metadata(sheet, partition_key=newest.strftime(DATE))
        for day in dates:
            context.add_asset_metadata(_metadata_of(rows, day), partition_key=day.strftime(DATE))
        return dg.MaterializeResult(metadata={"sessions_of_the_run": len(rows)})

    return session_summary


def _metadata_of(rows: Sequence[SessionSummary], day: date) -> dict[str, dg.MetadataValue]:
    of_day = sorted((row for row in rows if row.session_date == day), key=lambda row: (row.symbol, row.interval))
    shown: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(len(of_day)),
        "bars_missing": dg.MetadataValue.int(sum(row.bars_missing for row in of_day)),
    }
    if of_day:
        shown["sessions"] = dg.MetadataValue.table([_record(row) for row in of_day[:_SHOWN]])
    else:
        shown["note"] = dg.MetadataValue.text("no session of a symbol is over on this day, or none has bars yet")
    return shown


def _record(row: SessionSummary) -> dg.TableRecord:
    prices = {name: _rounded(getattr(row, name)) for name in ("open", "high", "low", "close", "vwap")}
    return dg.TableRecord(
        {
            "symbol": row.symbol,
            "interval": row.interval,
            **prices,
            "volume": f"{row.volume:,}" if row.volume is not None else "",
            "bars": f"{row.bars_stored}/{row.bars_expected}",
        }
    )


def _rounded(price: float | None) -> str:
    return "" if price is None else f"{price:,.2f}" if price >= 1 else f"{price:.6f}"
