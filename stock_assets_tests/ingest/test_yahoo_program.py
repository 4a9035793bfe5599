"""The producer of source yahoo as a program, through a proxy, with a server that answers like Yahoo."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from infra.servers import kafka, postgres
from infra.settings import StackSettings, service_environment
from spark_streaming.contract.schema import Source, SourceNames, source_names
from stock_assets.resources.kafka import KafkaResource
from stock_assets.settings import IngestSettings
from stock_assets.store.coverage import read_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.watchlist import add_to_watchlist
from stock_assets_tests.services.proxy import ConnectProxy
from stock_assets_tests.services.waiting import until
from stock_assets_tests.services.yahoo import YahooServer

pytestmark = pytest.mark.services


@pytest.fixture
def yahoo() -> Iterator[YahooServer]:
    server = YahooServer()
    server.market.trades = lambda at: True
    server.market.unknown = {"GONE-USD"}
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    server.market.splits["BTC-USD"] = {midnight: (1, 0)}  # Yahoo has sent such splits
    yield server
    server.close()


@pytest.fixture
def names(stack: StackSettings) -> SourceNames:
    made = source_names(Source.YAHOO, f"test-{uuid.uuid4().hex[:12]}")
    kafka.create_topics(stack, made)
    postgres.provision(stack, made)
    return made


@pytest.fixture
def engine(stack: StackSettings, names: SourceNames) -> Iterator[Engine]:
    settings = IngestSettings(
        stocks_home=stack.stocks_home, source=Source.YAHOO, stocks=("BTC-USD", "GONE-USD"),
        stock_price_kafka_topic=names.topic,
    )  # fmt: skip
    upgrade(settings)
    engine = make_engine(settings.postgres)
    yield engine
    engine.dispose()


def test_it_publishes_history_and_a_symbol_added_while_it_runs_and_counts_answers(
    stack: StackSettings, names: SourceNames, engine: Engine, yahoo: YahooServer
) -> None:
    proxy = ConnectProxy(yahoo.port)
    environment = {
        "STOCKS_HOME": str(stack.stocks_home),
        "SOURCE": "yahoo",
        "STOCK_PRICE_KAFKA_TOPIC": names.topic,
        "HISTORY_DAYS": "1",
        "YAHOO_PROXY": proxy.address,
        "YAHOO_CA_FILE": str(yahoo.certificate),
    }
    command = [sys.executable, "-m", "stock_assets.ingest"]
    program = subprocess.Popen(command, env=service_environment() | environment, stderr=subprocess.PIPE, text=True)
    try:
        await_answers(engine, "BTC-USD", "GONE-USD")
        add_to_watchlist(engine, "ETH-USD")
        await_answers(engine, "ETH-USD")
        program.send_signal(signal.SIGTERM)
        _, log = program.communicate(timeout=60)
    finally:
        program.kill()
        proxy.close()
    assert program.returncode == 0, log
    rows = {row.symbol: row for row in read_coverage(engine)}
    assert rows["GONE-USD"].last_answer.startswith("unknown symbol")
    assert rows["ETH-USD"].newest_bar == rows["ETH-USD"].covered_until
    messages = list(KafkaResource(bootstrap_servers=stack.kafka_address).messages(names.topic))
    starts = sorted(
        datetime.fromisoformat(json.loads(message.value or b"")["timestamp"])
        for message in messages
        if message.key == b"BTC-USD"
    )
    assert set(starts) == {starts[0] + timedelta(minutes=2) * n for n in range(len(set(starts)))}
    assert starts[0] <= datetime.now(UTC) - timedelta(days=1)
    with engine.connect() as connection:
        counted = connection.execute(text("SELECT kind, sum(answers) FROM source_answer GROUP BY kind")).all()
        assert connection.execute(text("SELECT count(*) FROM corporate_action")).scalar_one() == 0
    assert {kind for kind, _ in counted} == {"ok", "unknown symbol"}
    assert "left out: BTC-USD: Yahoo has a split 1:0" in log
    assert "query2.finance.yahoo.com" in proxy.asked
    assert {path.name for path in (Path(stack.stocks_home) / "cache" / "yfinance").iterdir()} >= {"tkr-tz.db"}


def await_answers(engine: Engine, *symbols: str) -> None:
    until(lambda: {row.symbol for row in read_coverage(engine)} >= set(symbols), 90)
