"""The queries of the alert rules, as they are shipped, on the real databases: on both sides of their thresholds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from infra.grafana.alerting import FluxQuery, Rule, SqlQuery
from infra.grafana.databases import Frame
from infra.grafana.queries import Language, Query, View
from infra.settings import StackSettings
from spark_streaming.contract.schema import MEASUREMENT, Source
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.run_records import CheckVerdict
from stock_assets.settings import IngestSettings
from stock_assets.store.coverage import write_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.run_records import write_verdicts
from stock_assets_tests.infra.grafana.filled import Filled, databases_of
from stock_assets_tests.infra.grafana.test_provisioning import rules
from stock_assets_tests.services.fixtures import Bucket

pytestmark = pytest.mark.services

MINUTE = timedelta(minutes=1)


def rule(uid: str) -> Rule:
    return next(found for found in rules() if found.uid == uid)


def asked(of: Rule) -> Query:
    """The rule's first step, as Grafana sends it."""
    model = of.data[0].model
    assert isinstance(model, FluxQuery | SqlQuery)
    language = Language.FLUX if isinstance(model, FluxQuery) else Language.SQL
    return Query("alerts", of.uid, model.ref_id, language, model.text)


@dataclass
class World:
    """The databases, empty at first."""

    filled: Filled

    @property
    def engine(self) -> Engine:
        return self.filled.engine

    def ask(self, uid: str) -> list[Frame]:
        now = datetime.now(UTC)
        start = timedelta(seconds=rule(uid).data[0].relative_time_range.start)
        return self.filled.databases.answer(
            asked(rule(uid)), View(now - start, now, self.filled.bucket.name, self.filled.bucket.org, {})
        )

    def bar(self, symbol: str, ago: timedelta, close: float, interval: str = "1m") -> None:
        at = int((datetime.now(UTC) - ago).timestamp() * 1000)
        self.filled.write(f"{MEASUREMENT},interval={interval},symbol={symbol} close={close} {at}")

    def judged(self, ago: timedelta) -> None:
        at = datetime.now(UTC) - ago
        write_verdicts(self.engine, [CheckVerdict("prices_are_fresh", "a", "ERROR", True, "", [], at, at)])

    def due(self, within: timedelta | None, answer: str = "1 bar") -> None:
        now = datetime.now(UTC)
        due = None if within is None else now + within
        write_coverage(self.engine, [Coverage("AAPL", "1m", "test", now, now, answer, due)])


@pytest.fixture
def world(postgres_server: StackSettings, fresh_bucket: Bucket) -> Iterator[World]:
    settings = IngestSettings(stocks_home=postgres_server.stocks_home, source=Source.SIMULATED)
    upgrade(settings)
    engine = make_engine(settings.postgres)
    _empty(engine)
    yield World(Filled(fresh_bucket, engine, databases_of(postgres_server, Source.SIMULATED, fresh_bucket)))
    _empty(engine)
    engine.dispose()


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE check_verdict, ingest_coverage"))


@pytest.mark.parametrize(
    ("closes", "direction"),
    [((100, 103, 105.1), "up"), ((100, 99, 94.9), "down"), ((100, 104.9), None), ((95.1,), None)],
)
def test_a_price_moves_beyond_its_threshold_or_not(
    world: World, closes: tuple[float, ...], direction: str | None
) -> None:
    for number, close in enumerate(closes):
        world.bar("AAPL", (10 - number) * MINUTE, close)
    labels = [frame.columns[1].labels for frame in world.ask("stocks-price-moves")]
    assert labels == ([{"symbol": "AAPL", "direction": direction}] if direction else [])


def test_only_the_symbol_that_moves_is_told(world: World) -> None:
    for symbol, close in (("AAPL", 110.0), ("IBM", 101.0)):
        world.bar(symbol, 5 * MINUTE, 100)
        world.bar(symbol, 1 * MINUTE, close)
    [frame] = world.ask("stocks-price-moves")
    assert frame.columns[1].labels["symbol"] == "AAPL"
    assert frame.columns[1].values == [pytest.approx(10.0)]


def test_what_moved_a_quarter_of_an_hour_ago_and_daily_bars_tell_nothing(world: World) -> None:
    world.bar("AAPL", 16 * MINUTE, 50)
    world.bar("AAPL", 1 * MINUTE, 100)
    world.bar("IBM", 14 * MINUTE, 50, interval="1d")
    world.bar("IBM", 1 * MINUTE, 100, interval="1d")
    assert world.ask("stocks-price-moves") == []


def never(world: World) -> None:
    world.due(timedelta())


def just_now(world: World) -> None:
    world.due(timedelta())
    world.judged(4.9 * MINUTE)


def long_ago(world: World) -> None:
    world.due(timedelta())
    world.judged(5.1 * MINUTE)


def long_ago_and_all_is_dead(world: World) -> None:
    world.due(-600 * MINUTE)
    world.judged(600 * MINUTE)


def in_the_night(world: World) -> None:
    world.due(300 * MINUTE)
    world.judged(600 * MINUTE)


def after_a_replay(world: World) -> None:
    world.due(None, "end of file")
    world.judged(600 * MINUTE)


def during_a_replay(world: World) -> None:
    world.due(timedelta(), "more to come")
    world.judged(600 * MINUTE)


@pytest.mark.parametrize(
    ("happened", "fires"),
    [
        (never, True), (just_now, False), (long_ago, True), (long_ago_and_all_is_dead, True), (in_the_night, False),
        (after_a_replay, False), (during_a_replay, False),
    ],
)  # fmt: skip
def test_silent_checks_are_told_while_something_is_at_stake(
    world: World, happened: Callable[[World], None], fires: bool
) -> None:
    happened(world)
    [frame] = world.ask("stocks-checks-are-silent")
    assert frame.rows == int(fires)
    assert [column.type for column in frame.columns] == ["number"] * int(fires)
