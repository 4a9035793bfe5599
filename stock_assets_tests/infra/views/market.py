"""A bucket and a database with two sessions of 2-minute bars, for the tests of commands that show prices."""

import os
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner, Result

from infra.cli.main import app
from infra.host import secrets
from infra.host.secrets import Secrets
from infra.servers import influxdb, kafka, postgres
from infra.settings import StackSettings
from spark_streaming.contract.schema import Source
from stock_assets.pipeline.coverage import Coverage
from stock_assets.settings import CodeLocationSettings, code_location
from stock_assets.store.coverage import write_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets_tests.services.fixtures import no_settings_around

STOCKS = str(Path(sys.executable).with_name("stocks"))
OPENS = (datetime(2026, 11, 19, 14, 30, tzinfo=UTC), datetime(2026, 11, 20, 14, 30, tzinfo=UTC))
BARS = 195  # of a session of 2-minute bars


@dataclass(frozen=True)
class Market:
    """A filled bucket and database; `environment` lets a shell read them."""

    settings: CodeLocationSettings
    environment: dict[str, str]
    write_token: str

    def write(self, *lines: str) -> None:
        response = requests.post(
            f"{self.settings.influxdb_url}/api/v2/write",
            params={"org": self.settings.influx_org, "bucket": self.settings.names.bucket, "precision": "s"},
            headers={"Authorization": f"Token {self.write_token}"},
            data="\n".join(lines).encode(),
            timeout=30,
        )
        assert response.status_code == 204, response.text

    def run(self, here: Path, *words: str) -> Result:
        """Run `stocks` with arguments in this process, since importing its modules takes a second each time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            code_location.cache_clear()
            try:
                return CliRunner().invoke(app, list(words), env=self.environment)
            finally:
                code_location.cache_clear()


def bar(symbol: str, start: datetime, close: float, interval: str = "2m") -> str:
    prices = f"open={close - 0.1:.2f},high={close + 0.5:.2f},low={close - 0.5:.2f},close={close:.2f}"
    return f"stock-price-v1,interval={interval},symbol={symbol} {prices},volume=1000i {int(start.timestamp())}"


def session(symbol: str, opens: datetime, first: float) -> list[str]:
    return [bar(symbol, opens + timedelta(minutes=2 * n), first + 0.01 * n) for n in range(BARS)]


def filled_market(stack: StackSettings) -> Market:
    """Return a market on the servers of `stack`, with two sessions of AMZN and one of MSFT."""
    name = f"views-{uuid.uuid4().hex[:8]}"
    own = stack.model_copy(update={"postgres_dbname": name.replace("-", "_"), "source": Source.YAHOO})
    postgres.provision(own, own.source_names(Source.YAHOO))
    kafka.create_topics(own, own.source_names(Source.YAHOO))
    tokens = influxdb.operator(stack).tokens_of(name, 365 * 24 * 3600)
    values = {
        "STOCKS_HOME": str(stack.stocks_home),
        "SOURCE": "yahoo",
        "STOCKS": "AMZN,MSFT,SAP.DE",
        "INFLUXDB_BUCKET": name,
        "INFLUX_READ_TOKEN": tokens.read,
        "INFLUXDB_URL": stack.effective_influxdb_url,
        "POSTGRES_DBNAME": own.postgres_dbname,
        "POSTGRES_PASSWORD": str(Secrets(stack.stocks_home).read(secrets.POSTGRES_PASSWORD)),
    }
    with no_settings_around(stack.stocks_home), pytest.MonkeyPatch.context() as patch:
        for key, value in values.items():
            patch.setenv(key, value)
        settings = CodeLocationSettings()
        settings.names  # noqa: B018 - cached from this environment
    upgrade(settings)
    made = Market(settings, {**os.environ, **values}, tokens.write)
    made.write(*session("AMZN", OPENS[0], 100), *session("AMZN", OPENS[1], 200), *session("MSFT", OPENS[1], 400))
    made.write(bar("AMZN", OPENS[1], 201, "1d"))
    last = OPENS[1] + timedelta(minutes=2 * (BARS - 1))
    due = OPENS[1] + timedelta(days=3)
    rows = [Coverage(s, "2m", "yahoo", last, last, f"{BARS} bars", due) for s in ("AMZN", "MSFT")]
    write_coverage(make_engine(settings.postgres), rows)
    return made


SATURDAY = OPENS[1] + timedelta(hours=24)
