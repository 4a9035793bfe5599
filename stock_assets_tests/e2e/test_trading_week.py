"""The platform at the turning points of a week with a holiday and a half-day, on a clock that is set.

All is real but the time of day and Yahoo, which is the tests' own server: the sensors' daemon, the runs that it starts,
Kafka, Spark, InfluxDB, PostgreSQL. Each test begins with what the one before has left. Times are UTC; New York's winter
session is from 14:30 to 21:00, and the Friday after Thanksgiving ends at 18:00.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree

import dagster as dg
import pytest
from dagster import DagsterRunStatus, RunsFilter
from sqlalchemy import Engine

from infra.host.progress import Progress
from infra.servers import dagster, jars
from infra.settings import StackSettings
from infra.stack.servers import Servers, write_stack_env
from infra.supervise.service import Service
from spark_streaming.contract import heartbeat, process_lock
from spark_streaming.contract.heartbeat import ProgramState
from spark_streaming.contract.schema import Source
from stock_assets.market.calendars import session_on
from stock_assets.operations.roles import JOB_OF, PROGRAM_OF
from stock_assets.operations.run_records import failure_of
from stock_assets.pipeline.desired_state import Role
from stock_assets.settings import IngestSettings
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.session_summaries import read_summaries
from stock_assets.store.watchlist import add_to_watchlist
from stock_assets_tests.infra.terminal import until
from stock_assets_tests.services import fake_clock
from stock_assets_tests.services.fake_clock import FakeClock
from stock_assets_tests.services.fixtures import no_settings_around, open_folder, settings_for
from stock_assets_tests.services.inbox import Inbox
from stock_assets_tests.services.proxy import ConnectProxy
from stock_assets_tests.services.yahoo import Market, YahooServer

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not fake_clock.AVAILABLE, reason="libfaketime is for Linux here"),
]

WEDNESDAY, FRIDAY = date(2025, 11, 26), date(2025, 11, 28)
TRADED = [date(2025, 11, 24), date(2025, 11, 25), WEDNESDAY, FRIDAY, date(2025, 12, 1)]
SESSIONS = [session_on("XNYS", day) for day in TRADED]
SYMBOLS = ("AAPL", "MSFT")
LAST_LOOK = timedelta(minutes=11, seconds=30)  # after a close the session's bars are asked for once more by then
PATIENCE_SECONDS = 240
QUIET_SECONDS = 25  # two ticks of the sensor that starts runs


def at(day: str, time: str) -> datetime:
    """A moment of that week: the day's month and number, and a time."""
    return datetime.fromisoformat(f"2025-{day}T{time}").replace(tzinfo=UTC)


class Week:
    """The platform, its clock, and what can be seen of both."""

    def __init__(self, settings: StackSettings, clock: FakeClock, market: Market, inbox: Inbox, engine: Engine) -> None:
        self.settings, self.clock, self.market, self.inbox, self.engine = settings, clock, market, inbox, engine
        self.instance = dg.DagsterInstance.from_config(str(dagster.folder(settings)))

    def live(self) -> dict[Role, str]:
        """Role -> the run whose program is at work."""
        found = {}
        for role in Role:
            beat = heartbeat.read_heartbeat(self._state(role))
            if beat and beat.state is ProgramState.RUNNING and process_lock.is_locked(self._state(role)):
                found[role] = beat.run_id
        return found

    def newest_stored(self) -> datetime | None:
        beat = heartbeat.read_heartbeat(self._state(Role.STREAM))
        return beat.newest_event if beat else None

    def runs(self, role: Role | None = None) -> list[dg.DagsterRun]:
        """Newest first."""
        return list(self.instance.get_runs(RunsFilter(job_name=JOB_OF[role]) if role else None))

    def are_up(self) -> None:
        until(lambda: set(self.live()) == set(Role), PATIENCE_SECONDS)
        for role, run_id in self.live().items():
            run = self.instance.get_run_by_id(run_id)
            assert run is not None
            assert run.job_name == JOB_OF[role]
            assert run.status is DagsterRunStatus.STARTED

    def have_ended(self) -> None:
        until(lambda: not self.live() and all(run.is_finished for run in self.runs()), PATIENCE_SECONDS)
        assert self.failed() == []

    def closes(self, day: date) -> None:
        """The session ends, and what is to be done after it is done."""
        self.clock.set(session_on("XNYS", day).closed + LAST_LOOK)
        self.have_ended()
        self.clock.set(at(f"{day:%m-%d}", "21:31"))
        self.has_done_what_follows(day)

    def has_done_what_follows(self, day: date) -> None:
        """The session is summarised, and companies were asked about after half past four by New York's clock."""

        def is_done() -> bool:
            told = self.instance.get_latest_materialization_event(dg.AssetKey(["postgres", "company"]))
            asked = told is not None and told.timestamp >= at(f"{day:%m-%d}", "21:30").timestamp()
            return asked and bool(self.bars_of(day)) and all(run.is_finished for run in self.runs())

        until(is_done, PATIENCE_SECONDS)

    def failed(self) -> list[str]:
        """Which runs have failed, and why."""
        failed = [run for run in self.runs() if run.status is DagsterRunStatus.FAILURE]
        return [f"{run.job_name} {run.asset_selection}: {failure_of(self.instance, run.run_id)}" for run in failed]

    def told(self) -> list[str]:
        """The titles of the messages."""
        return [title.removeprefix("stock-assets: ") for title in self.inbox.titles]

    def troubles(self) -> set[str]:
        """What they are about, but for the quotes, which this Yahoo has none of."""
        return {title for title in self.told() if not title.startswith(("Resolved: ", "quotes_are_fresh"))}

    def stays_quiet(self) -> None:
        """In the next while no run is started, and nobody is told of anything."""
        runs, troubles = len(self.runs()), self.troubles()
        time.sleep(QUIET_SECONDS)
        assert len(self.runs()) == runs
        assert self.troubles() == troubles
        assert self.live() == {}

    def bars_of(self, day: date) -> dict[str, tuple[int, int]]:
        """Symbol -> the bars that its session should have, and those that it has, as its summary says."""
        rows = read_summaries(self.engine, day, day)
        return {row.symbol: (row.bars_expected, row.bars_stored) for row in rows}

    def _state(self, role: Role) -> Path:
        return self.settings.stocks_home / "state" / "yahoo" / PROGRAM_OF[role]


@pytest.fixture(scope="module")
def week() -> Iterator[Week]:
    with ExitStack() as stack:
        home = open_folder()
        stack.callback(rmtree, home, ignore_errors=True)
        clock = FakeClock(home / "clock", at("11-26", "20:52"))
        yahoo, inbox = YahooServer(), Inbox()
        stack.callback(yahoo.close)
        stack.callback(inbox.close)
        yahoo.market.now = clock.now
        yahoo.market.trades = lambda bar: any(session.is_on(bar) for session in SESSIONS)
        yahoo.market.facts = {symbol: {"marketCap": 10**12, "country": "United States"} for symbol in SYMBOLS}
        proxy = ConnectProxy(yahoo.port)
        stack.callback(proxy.close)
        settings = settings_for(home, source=Source.YAHOO, stocks=SYMBOLS, notify_urls=inbox.url)
        write_stack_env(
            settings,
            {
                "STACK_STARTED_AT": clock.now().isoformat(),
                "BAR_INTERVAL": "1m",
                "HISTORY_DAYS": "3",
                "YAHOO_PROXY": proxy.address,
                "YAHOO_CA_FILE": str(yahoo.certificate),
            },
        )
        servers = Servers(settings, Progress(), _dagster_by(clock, settings))
        stack.callback(servers.supervisor.stop)
        stack.callback(servers.supervisor.stop_services)
        engine = _bring_up(servers)
        stack.callback(engine.dispose)
        made = Week(settings, clock, yahoo.market, inbox, engine)
        stack.callback(made.instance.dispose)
        yield made


def _dagster_by(clock: FakeClock, settings: StackSettings) -> list[Service]:
    """Dagster's programs without its UI, going by that clock."""
    with no_settings_around(settings.stocks_home), pytest.MonkeyPatch.context() as patch:
        usual = dagster.environment
        patch.setattr(dagster, "environment", lambda settings: usual(settings) | clock.environment)
        return [service for service in dagster.services(settings) if service.name != dagster.WEBSERVER]


def _bring_up(servers: Servers) -> Engine:
    settings, only = servers.settings, [servers.settings.source]
    jars.resolve(jars.CONNECTOR, settings.stocks_cache, servers.progress)
    dagster.prepare(settings)
    servers.supervisor.start()
    servers.bring_up_kafka(only)
    servers.bring_up_influxdb(only)
    servers.bring_up_postgres(only)
    with no_settings_around(settings.stocks_home):
        tables = IngestSettings(stocks_home=settings.stocks_home, source=settings.source)
        upgrade(tables)
    for name in (dagster.CODE_SERVER, dagster.DAEMON):
        servers.supervisor.start_service(name)
    return make_engine(tables.postgres)


def test_before_the_close_both_are_up_and_store_bar_after_bar(week: Week) -> None:
    week.are_up()
    until(lambda: (newest := week.newest_stored()) is not None and newest >= at("11-26", "20:52"), PATIENCE_SECONDS)


def test_after_the_close_both_drain_and_what_follows_is_done(week: Week) -> None:
    week.closes(WEDNESDAY)
    assert week.bars_of(WEDNESDAY) == dict.fromkeys(SYMBOLS, (390, 390))


def test_a_holiday_is_quiet(week: Week) -> None:
    week.clock.set(at("11-27", "15:00"))
    week.stays_quiet()


def test_both_are_up_before_the_next_open(week: Week) -> None:
    week.clock.set(at("11-28", "14:21:30"))
    week.are_up()
    assert week.clock.now() < at("11-28", "14:30")


def test_a_half_day_ends_at_one_by_new_york(week: Week) -> None:
    week.clock.set(at("11-28", "17:58"))
    until(lambda: (newest := week.newest_stored()) is not None and newest >= at("11-28", "17:56"), PATIENCE_SECONDS)
    week.closes(FRIDAY)
    assert week.bars_of(FRIDAY) == dict.fromkeys(SYMBOLS, (210, 210))


def test_a_weekend_is_quiet(week: Week) -> None:
    week.clock.set(at("11-29", "15:00"))
    week.stays_quiet()


def test_monday_begins_before_the_open(week: Week) -> None:
    week.clock.set(at("12-01", "14:21:30"))
    week.are_up()


def test_with_a_coin_on_the_watchlist_both_roll_over_at_midnight(week: Week) -> None:
    week.market.trades = lambda bar: True
    add_to_watchlist(week.engine, "BTC-USD")
    mondays = week.live()
    week.clock.set(at("12-02", "00:01"))
    until(
        lambda: week.live().keys() == mondays.keys() and not {*week.live().values()} & {*mondays.values()},
        PATIENCE_SECONDS,
    )
    week.are_up()
    for run_id in mondays.values():
        run = week.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is DagsterRunStatus.SUCCESS


def test_each_role_had_a_run_a_day_and_no_bar_is_late_any_more(week: Week) -> None:
    assert {role: len(week.runs(role)) for role in Role} == dict.fromkeys(Role, 4)
    assert week.failed() == []
    # Bars are late at once where a clock jumps in a session.
    assert week.troubles() <= {"prices_are_fresh failed"}
    until(lambda: all(f"Resolved: {trouble}" in week.told() for trouble in week.troubles()), PATIENCE_SECONDS)
