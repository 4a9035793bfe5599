"""A bucket and a schema, filled as by a running platform.

The bundled bars and some quotes pass through Kafka and Spark; what a replay doesn't have is written directly: 1-minute
bars, sessions, evaluations, runs, splits and dividends.
"""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import requests
from sqlalchemy import Engine, text

from infra.bench.grafana_databases import Databases
from infra.bench.grafana_queries import View
from infra.host import secrets
from infra.host.secrets import Secrets
from infra.servers import influxdb, kafka, postgres
from infra.settings import StackSettings, service_environment
from infra.stack.storage_metrics import metrics_line
from spark_streaming.contract.schema import MEASUREMENT, MarketPhase, Source, source_names
from stock_assets.market.adjustment import ActionKind, CorporateAction
from stock_assets.market.calendars import sessions_between
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.quotes import Quote
from stock_assets.market.sessions import SessionSummary
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.run_records import CheckVerdict, PipelineRun
from stock_assets.settings import IngestSettings
from stock_assets.store.check_verdicts import write_verdicts
from stock_assets.store.companies import write_companies
from stock_assets.store.corporate_actions import write_actions
from stock_assets.store.coverage import read_coverage, write_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.pipeline_runs import write_runs
from stock_assets.store.session_summaries import write_summaries
from stock_assets.store.source_stats import count_answers
from stock_assets.store.tables import metadata
from stock_assets_tests.services.fixtures import Bucket
from stock_assets_tests.spark_streaming.conftest import environment_of
from stock_assets_tests.spark_streaming.kafka_messages import send

END = datetime(2013, 3, 2, tzinfo=UTC)  # the bundled bars end on 2013-03-01
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
BY_MINUTE = ("AAPL", "IBM")
_MINUTES = 390
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Filled:
    """The filled bucket and schema, and the accounts that read them."""

    bucket: Bucket
    engine: Engine
    databases: Databases

    def view(
        self, days: float, stop: datetime = END, interval: str = "1d", symbols: tuple[str, ...] = ("AAPL",)
    ) -> View:
        """Return a view of the `days` before `stop`."""
        variables = {"source": "stocks-replay", "interval": interval, "symbol": symbols}
        return View(stop - timedelta(days=days), stop, self.bucket.name, self.bucket.org, variables)

    def write(self, *lines: str) -> None:
        """Write lines of points into the bucket, times in milliseconds."""
        response = requests.post(
            f"{self.bucket.url}/api/v2/write",
            params={"org": self.bucket.org, "bucket": self.bucket.name, "precision": "ms"},
            headers={"Authorization": f"Token {self.bucket.write_token}"},
            data="\n".join(lines).encode(),
            timeout=60,
        )
        assert response.ok, response.text


@contextmanager
def filled(stack: StackSettings, connector_jars: Path, folder: Path) -> Iterator[Filled]:
    """Fill bucket and schema; the tables are emptied at the end of the block."""
    topic = f"test-{uuid.uuid4().hex[:12]}"
    settings = IngestSettings(stocks_home=stack.stocks_home, source=Source.REPLAY, stock_price_kafka_topic=topic)
    engine = make_engine(settings.postgres)
    upgrade(settings)
    _empty(engine)
    bucket = _bucket(stack)
    made = Filled(bucket, engine, databases_of(stack, Source.REPLAY, bucket))
    _replay(stack, bucket, topic, connector_jars, folder)
    _seed_influxdb(made)
    _seed_postgres(engine)
    yield made
    _empty(engine)
    engine.dispose()


def _bucket(stack: StackSettings) -> Bucket:
    name = f"test-{uuid.uuid4().hex[:12]}"
    tokens = influxdb.operator(stack).tokens_of(name, 20 * _YEAR)
    return Bucket(stack.effective_influxdb_url, stack.influx_org, name, tokens.write, tokens.read)


def databases_of(stack: StackSettings, source: Source, bucket: Bucket) -> Databases:
    """Return the databases with the accounts of the shipped datasources."""
    password = Secrets(stack.stocks_home).read(secrets.POSTGRES_READ_PASSWORD)
    reader = postgres.reader_of(stack.source_names(source))
    where = (
        f"host=127.0.0.1 port={stack.postgres_port} dbname={stack.postgres_dbname} user={reader} password={password}"
    )
    return Databases(bucket.url, bucket.org, bucket.read_token, where)


def _replay(stack: StackSettings, bucket: Bucket, topic: str, connector_jars: Path, folder: Path) -> None:
    names = source_names(Source.REPLAY, topic, quote_topic=f"{topic}-quotes")
    kafka.create_topics(stack, names)
    quotes = [(quote.key, quote.value) for quote in _quotes()]
    send(stack.kafka_address, names.quote_topic, quotes, datetime.now(UTC))
    own = {"STOCKS_HOME": str(stack.stocks_home), "SOURCE": "replay", "STOCK_PRICE_KAFKA_TOPIC": topic}
    _run("stock_assets.ingest", environment=service_environment() | own)
    stream = environment_of(stack, names, bucket, connector_jars, folder / "stream")
    stream |= {"STOCK_QUOTE_KAFKA_TOPIC": names.quote_topic}
    _run("spark_streaming", "--available-now", environment=stream)


def _run(module: str, *arguments: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def _quotes() -> Iterator[Quote]:
    """Yield a quote a minute of AAPL around the open of the last day."""
    for minute in range(-60, 120):
        at = datetime(2013, 3, 1, 14, 30, tzinfo=UTC) + timedelta(minutes=minute)
        phase = MarketPhase.PRE if minute < 0 else MarketPhase.REGULAR
        yield Quote("AAPL", at, 430 + minute / 10, change_percent=-2.5, day_volume=minute + 61, market_phase=phase)


def _seed_influxdb(made: Filled) -> None:
    bars = []
    for session in sessions_between("XNYS", date(2013, 2, 15), date(2013, 3, 1)):
        for symbol in BY_MINUTE:
            for minute in range(_MINUTES):
                at, close = session.opened + timedelta(minutes=minute), 100 + minute / 100
                prices = (
                    f"open={close - 0.01},high={close + 0.02},low={close - 0.02},close={close},volume={minute + 1}i"
                )
                bars.append(f"{MEASUREMENT},interval=1m,symbol={symbol} {prices} {_ms(at)}")
    made.write(*bars)
    for ago, free in ((2, 10 * 2**30), (1, 9 * 2**30)):
        seen = _ms(datetime.now(UTC) - timedelta(hours=ago))
        made.write(metrics_line({"kafka": 1000, "influxdb": 2000, "postgres": 3000}, free, seen))


def _seed_postgres(engine: Engine) -> None:
    now, friday = datetime.now(UTC), date(2013, 3, 1)
    minute = [Coverage(s, "1m", "seed", END, END - timedelta(hours=3), "390 bars", None) for s in BY_MINUTE]
    write_coverage(engine, minute)
    sessions = sessions_between("XNYS", date(2012, 11, 1), friday)
    write_summaries(
        engine,
        [
            SessionSummary(
                s.opened.date(), symbol, interval, s.opened, s.closed, 100 + n, 103 + n, 99 + n, 102 + n, 1000 + n,
                101 + n, _MINUTES, _MINUTES, 0, s.closed,
            )
            for n, s in enumerate(sessions) for symbol in BY_MINUTE for interval in ("1m", "1d")
        ],
    )  # fmt: skip
    write_companies(engine, [_company(symbol, friday) for symbol in SYMBOLS])
    dividend = CorporateAction("AAPL", date(2013, 2, 27), ActionKind.DIVIDEND, Decimal("2.65"), "USD", Decimal(449))
    write_actions(engine, [CorporateAction("AAPL", date(2013, 2, 26), ActionKind.SPLIT, Decimal(7)), dividend])
    fresh = [
        {"symbol": row.symbol, "interval": row.interval, "newest": "2013-03-01 14:30:00Z", "late_by": "",
         "expected": "2013-03-01 14:30:00Z", "verdict": "fresh", "market": "closed"}
        for row in read_coverage(engine)
    ]  # fmt: skip
    dead_letters = [{"symbol": "AAPL", "reason": "price.not_positive", "open": 2, "settled": 1}]
    asset = "influxdb/stock_price_v1"
    write_verdicts(
        engine,
        [
            CheckVerdict("prices_are_fresh", asset, "ERROR", True, "all are there", fresh, now, now),
            CheckVerdict("no_dead_letters", asset, "WARN", False, "2 messages", dead_letters, now, now),
        ],
    )
    write_runs(engine, [PipelineRun("a", "producer", "publish_prices", "SUCCESS", now, now, now, "bars are missing")])
    count_answers(engine, "bars", {"ok": 12, "rate limited": 1}, now)


def _company(symbol: str, day: date) -> CompanyInfo:
    return CompanyInfo(
        day, symbol, shortname=symbol, longname=f"{symbol} Inc.", industry="Computers", sector="Technology",
        marketcap=10**12, forwardpe=Decimal("20.5"), trailingpe=Decimal("25.1"), currency="USD",
        fiftytwoweekhigh=Decimal(700), fiftytwoweeklow=Decimal(420), fiftydayaverage=Decimal(480), exchange="NMS",
        shortratio=Decimal("1.2"), nextearnings=date(2013, 2, 28),
    )  # fmt: skip


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
