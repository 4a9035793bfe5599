"""The queries of the alert rules on the real databases, on both sides of their thresholds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from infra.bench.grafana_databases import Frame
from infra.bench.grafana_queries import Language, Query, View
from infra.grafana.alerting import FluxQuery, Rule, SqlQuery
from infra.settings import StackSettings
from spark_streaming.contract.schema import MEASUREMENT, Source
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.run_records import CheckVerdict
from stock_assets.settings import IngestSettings
from stock_assets.store.check_verdicts import write_verdicts
from stock_assets.store.coverage import write_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets_tests.infra.grafana.filled import Filled, databases_of
from stock_assets_tests.infra.grafana.test_provisioning import rules
from stock_assets_tests.services.fixtures import Bucket

pytestmark = pytest.mark.services

MINUTE = timedelta(minutes=1)


def rule_of(uid: str) -> Rule:
    return next(found for found in rules() if found.uid == uid)


def first_query(rule: Rule) -> Query:
    """Return the rule's first step as Grafana sends it."""
    model = rule.data[0].model
    assert isinstance(model, FluxQuery | SqlQuery)
    language = Language.FLUX if isinstance(model, FluxQuery) else Language.SQL
    return Query("alerts", rule.uid, model.ref_id, language, model.text)


@dataclass
class AlertData:
    """The databases, empty at first."""

    filled: Filled

    @property
    def engine(self) -> Engine:
        return self.filled.engine

    def ask(self, uid: str) -> list[Frame]:
        now = datetime.now(UTC)
        rule = rule_of(uid)
        start = timedelta(seconds=rule.data[0].relative_time_range.start)
        return self.filled.databases.answer(
            first_query(rule), View(now - start, now, self.filled.bucket.name, self.filled.bucket.org, {})
        )

    def bar(self, symbol: str, ago: timedelta, close: float, interval: str = "1m") -> None:
        at = int((datetime.now(UTC) - ago).timestamp() * 1000)
        self.filled.write(f"{MEASUREMENT},interval={interval},symbol={symbol} close={close} {at}")

    def evaluated(self, ago: timedelta) -> None:
        at = datetime.now(UTC) - ago
        write_verdicts(self.engine, [CheckVerdict("prices_are_fresh", "a", "ERROR", True, "", [], at, at)])

    def due(self, within: timedelta | None, answer: str = "1 bar") -> None:
        now = datetime.now(UTC)
        due = None if within is None else now + within
        write_coverage(self.engine, [Coverage("AAPL", "1m", "test", now, now, answer, due)])


@pytest.fixture
def data(postgres_server: StackSettings, fresh_bucket: Bucket) -> Iterator[AlertData]:
    settings = IngestSettings(stocks_home=postgres_server.stocks_home, source=Source.SIMULATED)
    upgrade(settings)
    engine = make_engine(settings.postgres)
    _empty(engine)
    yield AlertData(Filled(fresh_bucket, engine, databases_of(postgres_server, Source.SIMULATED, fresh_bucket)))
    _empty(engine)
    engine.dispose()


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE check_verdict, ingest_coverage"))


@pytest.mark.parametrize(
    ("closes", "direction"),
    [((100, 103, 105.1), "up"), ((100, 99, 94.9), "down"), ((100, 104.9), None), ((95.1,), None)],
)
def test_a_price_move_fires_beyond_its_threshold_only(
    data: AlertData, closes: tuple[float, ...], direction: str | None
) -> None:
    for number, close in enumerate(closes):
        data.bar("AAPL", (10 - number) * MINUTE, close)
    labels = [frame.columns[1].labels for frame in data.ask("stocks-price-moves")]
    assert labels == ([{"symbol": "AAPL", "direction": direction}] if direction else [])


def test_only_the_symbol_that_moves_fires(data: AlertData) -> None:
    for symbol, close in (("AAPL", 110.0), ("IBM", 101.0)):
        data.bar(symbol, 5 * MINUTE, 100)
        data.bar(symbol, 1 * MINUTE, close)
    [frame] = data.ask("stocks-price-moves")
    assert frame.columns[1].labels["symbol"] == "AAPL"
    assert frame.columns[1].values == [pytest.approx(10.0)]


def test_older_moves_and_daily_bars_do_not_fire(data: AlertData) -> None:
    data.bar("AAPL", 16 * MINUTE, 50)
    data.bar("AAPL", 1 * MINUTE, 100)
    data.bar("IBM", 14 * MINUTE, 50, interval="1d")
    data.bar("IBM", 1 * MINUTE, 100, interval="1d")
    assert data.ask("stocks-price-moves") == []


def never(data: AlertData) -> None:
    data.due(timedelta())


def just_now(data: AlertData) -> None:
    data.due(timedelta())
    data.evaluated(4.9 * MINUTE)


def long_ago(data: AlertData) -> None:
    data.due(timedelta())
    data.evaluated(5.1 * MINUTE)


def long_ago_and_all_is_stopped(data: AlertData) -> None:
    data.due(-600 * MINUTE)
    data.evaluated(600 * MINUTE)


def in_the_night(data: AlertData) -> None:
    data.due(300 * MINUTE)
    data.evaluated(600 * MINUTE)


def after_a_replay(data: AlertData) -> None:
    data.due(None, "end of file")
    data.evaluated(600 * MINUTE)


def during_a_replay(data: AlertData) -> None:
    data.due(timedelta(), "more to come")
    data.evaluated(600 * MINUTE)


@pytest.mark.parametrize(
    ("happened", "fires"),
    [
        (never, True), (just_now, False), (long_ago, True), (long_ago_and_all_is_stopped, True), (in_the_night, False),
        (after_a_replay, False), (during_a_replay, False),
    ],
)  # fmt: skip
def test_checks_that_are_not_evaluated_fire_while_bars_are_due(
    data: AlertData, happened: Callable[[AlertData], None], fires: bool
) -> None:
    happened(data)
    [frame] = data.ask("stocks-checks-are-silent")
    assert frame.rows == int(fires)
    assert [column.type for column in frame.columns] == ["number"] * int(fires)
