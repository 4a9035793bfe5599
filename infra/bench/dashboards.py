"""How fast the dashboards' queries are on a year of 1-minute bars of 50 symbols, sent as Grafana sends them."""

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import requests
from pydantic import SecretStr
from sqlalchemy import Engine

from infra.bench.environment import BenchEnvironment, Bucket
from infra.bench.grafana_databases import Databases
from infra.bench.grafana_queries import Query, View, load, queries_of
from infra.grafana.provisioning import DASHBOARDS
from infra.host import secrets
from infra.host.progress import Progress
from infra.host.secrets import Secrets
from infra.servers import postgres
from infra.settings import HOST
from spark_streaming.contract.schema import MEASUREMENT, Source
from stock_assets.market.calendars import Session, sessions_between
from stock_assets.market.sessions import SessionSummary
from stock_assets.pipeline.coverage import Coverage
from stock_assets.settings import IngestSettings
from stock_assets.store.coverage import write_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.session_summaries import write_summaries

SYMBOLS = [f"S{number:02}" for number in range(50)]
_LAST = date(2026, 11, 20)
_YEAR = timedelta(days=365)
_RUNS = 3
_NEVER = "2100-01-01T00:00:00Z"
_LINES = 20_000  # a request

# Name of a view -> dashboard, days of its range, number of selected symbols, values of variables that are not queried.
_VIEWS: dict[str, tuple[str, float, int, dict[str, str]]] = {
    "Market, 5 days, 4 symbols": ("market", 5, 4, {}),
    "Market, 31 days, 4 symbols": ("market", 31, 4, {}),
    "Market, a year, 50 symbols": ("market", 365, 50, {}),
    "Market, a year, 50 symbols, none of its sessions summarised": ("market", 365, 50, {"sessions_from": _NEVER}),
    "Watchlist, 50 symbols": ("watchlist", 1, 50, {}),
    "Pipeline, 6 hours": ("pipeline", 0.25, 1, {}),
}


@dataclass(frozen=True)
class QueryTimes:
    """One query: how long each run of it took, and how many values it returned."""

    milliseconds: list[float]
    values: int

    @property
    def median(self) -> float:
        """Of the runs, in milliseconds."""
        return statistics.median(self.milliseconds)


def measure(bench: BenchEnvironment, progress: Progress) -> dict[str, dict[str, float | str]]:
    """Return view -> its slowest query (median and worst of three runs, in ms), and the sum of all queries."""
    with progress.step("starting PostgreSQL"):
        bench.servers.bring_up_postgres([Source.YAHOO])
    bucket, sessions = bench.bucket(), sessions_between("XNYS", _LAST - _YEAR, _LAST)
    with progress.step(f"storing {len(SYMBOLS) * 390 * len(sessions):,} bars and their sessions"):
        _fill(bucket, _engine(bench), sessions)
    databases, stop = _databases(bench, bucket), sessions[-1].closed
    report = {}
    for name, (board, days, symbols, more) in _VIEWS.items():
        with progress.step(name):
            variables: dict[str, str | Sequence[str]] = {
                "source": "stocks-yahoo",
                "interval": "1m",
                "symbol": SYMBOLS[:symbols],
                **more,
            }
            view = View(stop - timedelta(days=days), stop, bucket.name, bucket.org, variables)
            view = databases.opened(load(DASHBOARDS / f"{board}.json"), view)
            report[name] = _summary({query: _timed(databases, query, view) for query in _panels(board)})
    return report


def _panels(board: str) -> Iterator[Query]:
    return (query for query in queries_of(load(DASHBOARDS / f"{board}.json")) if query.place.startswith("panel"))


def _timed(databases: Databases, query: Query, view: View) -> QueryTimes:
    taken, values = [], 0
    for _ in range(_RUNS):
        begin = time.perf_counter()
        frames = databases.answer(query, view)
        taken.append(1000 * (time.perf_counter() - begin))
        values = sum(frame.rows * max(1, len(frame.columns) - 1) for frame in frames)
    return QueryTimes(taken, values)


def _summary(times: dict[Query, QueryTimes]) -> dict[str, float | str]:
    slowest = max(times, key=lambda query: times[query].median)
    return {
        "slowest": f"{slowest.place}, {slowest.ref_id}",
        "median_ms": round(times[slowest].median),
        "worst_ms": round(max(times[slowest].milliseconds)),
        "all_ms": round(sum(one.median for one in times.values())),
        "values": sum(one.values for one in times.values()),
    }


def _fill(bucket: Bucket, engine: Engine, sessions: Sequence[Session]) -> None:
    with requests.Session() as client:
        client.headers["Authorization"] = f"Token {bucket.write_token}"
        for symbol in SYMBOLS:
            lines, summaries = _year(symbol, sessions)
            for begin in range(0, len(lines), _LINES):
                client.post(
                    f"{bucket.url}/api/v2/write",
                    params={"org": bucket.org, "bucket": bucket.name, "precision": "s"},
                    data="\n".join(lines[begin : begin + _LINES]),
                    timeout=60,
                ).raise_for_status()
            write_summaries(engine, summaries)
    newest = sessions[-1].closed - timedelta(minutes=1)
    write_coverage(engine, [Coverage(symbol, "1m", "bench", newest, newest, "390 bars", None) for symbol in SYMBOLS])


def _year(symbol: str, sessions: Sequence[Session]) -> tuple[list[str], list[SessionSummary]]:
    """Return a random walk of 1-minute bars as line protocol, and the summaries of its sessions."""
    generator, price = random.Random(symbol), 100.0  # noqa: S311
    lines, summaries = [], []
    for session in sessions:
        begin, minutes = int(session.opened.timestamp()), int((session.closed - session.opened).total_seconds() / 60)
        closes = [price := price * (1 + generator.gauss(0, 0.0005)) for _ in range(minutes)]
        for minute, close in enumerate(closes):
            fields = f"open={close:.4f},high={close + 0.02:.4f},low={close - 0.02:.4f},close={close:.4f},volume=1000i"
            lines.append(f"{MEASUREMENT},interval=1m,symbol={symbol} {fields} {begin + 60 * minute}")
        summaries.append(
            SessionSummary(
                session.opened.date(), symbol, "1m", session.opened, session.closed, closes[0], max(closes),
                min(closes), closes[-1], 1000 * minutes, statistics.fmean(closes), minutes, minutes, 0,
                datetime.now(UTC),
            )
        )  # fmt: skip
    return lines, summaries


def _engine(bench: BenchEnvironment) -> Engine:
    password = Secrets(bench.settings.stocks_home).read(secrets.POSTGRES_PASSWORD) or ""
    settings = IngestSettings(
        stocks_home=bench.settings.stocks_home,
        source=Source.YAHOO,
        stocks=tuple(SYMBOLS),
        postgres_host=HOST,
        postgres_port=bench.settings.postgres_port,
        postgres_user=bench.settings.postgres_user,
        postgres_dbname=bench.settings.postgres_dbname,
        postgres_password=SecretStr(password),
    )
    upgrade(settings)
    return make_engine(settings.postgres)


def _databases(bench: BenchEnvironment, bucket: Bucket) -> Databases:
    settings = bench.settings
    password = Secrets(settings.stocks_home).read(secrets.POSTGRES_READ_PASSWORD)
    reader = postgres.reader_of(settings.source_names(Source.YAHOO))
    where = f"host={HOST} port={settings.postgres_port} dbname={settings.postgres_dbname} user={reader}"
    return Databases(bucket.url, bucket.org, bucket.read_token, f"{where} password={password}")
