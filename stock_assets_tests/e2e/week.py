"""The platform of the trading week: its fixture, its clock, and what the tests observe of it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus
from sqlalchemy import Engine

from infra.host.progress import Progress
from infra.servers import dagster, jars
from infra.settings import StackSettings
from infra.stack.servers import Servers, write_stack_env
from infra.supervise.service import Service
from spark_streaming.contract import heartbeat, process_lock
from spark_streaming.contract.heartbeat import ProgramState
from spark_streaming.contract.schema import Source
from stock_assets.defs.programs.jobs import purge_history
from stock_assets.market.calendars import session_on
from stock_assets.operations.roles import JOB_OF, PROGRAM_OF
from stock_assets.operations.run_records import failure_of
from stock_assets.pipeline.desired_state import Role
from stock_assets.settings import IngestSettings
from stock_assets.store.engine import make_engine
from stock_assets.store.migrate import upgrade
from stock_assets.store.session_summaries import read_summaries
from stock_assets_tests.services.fake_clock import FakeClock
from stock_assets_tests.services.fixtures import no_settings_around, open_folder, settings_for
from stock_assets_tests.services.inbox import Inbox
from stock_assets_tests.services.proxy import ConnectProxy
from stock_assets_tests.services.waiting import until
from stock_assets_tests.services.yahoo import Market, YahooServer

WEDNESDAY, FRIDAY = date(2025, 11, 26), date(2025, 11, 28)
TRADED = [date(2025, 11, 24), date(2025, 11, 25), WEDNESDAY, FRIDAY, date(2025, 12, 1)]
SESSIONS = [session_on("XNYS", day) for day in TRADED]
SYMBOLS = ("AAPL", "MSFT")
LAST_REQUEST = timedelta(minutes=11, seconds=30)  # by then after a close the bars of the session are requested again
TIMEOUT_SECONDS = 240
CLOCK_SECONDS = 1  # after which programs notice that the clock was set
QUIET_SECONDS = 25  # two ticks of the sensor that starts runs


def at(day: str, time: str) -> datetime:
    """Return a time of that week, in UTC; `day` is month and day, as 11-26."""
    return datetime.fromisoformat(f"2025-{day}T{time}").replace(tzinfo=UTC)


class Week:
    """The platform and its clock, with what the tests observe."""

    def __init__(self, servers: Servers, clock: FakeClock, market: Market, inbox: Inbox, engine: Engine) -> None:
        self.settings, self.statuses = servers.settings, servers.supervisor.statuses
        self.clock, self.market, self.inbox, self.engine = clock, market, inbox, engine
        self.instance = dg.DagsterInstance.from_config(str(dagster.folder(self.settings)))

    def running(self) -> dict[Role, str]:
        """Return role -> the run whose program is running."""
        found = {}
        for role in Role:
            newest = heartbeat.read_heartbeat(self._state(role))
            if newest and newest.state is ProgramState.RUNNING and process_lock.is_locked(self._state(role)):
                found[role] = newest.run_id
        return found

    def newest_stored(self) -> datetime | None:
        newest = heartbeat.read_heartbeat(self._state(Role.STREAM))
        return newest.newest_event if newest else None

    def set_clock(self, moment: datetime) -> None:
        """Set the clock while no run is starting or ending and nothing waits to be stored; the daemon sleeps meanwhile.

        By their own clocks Dagster fails runs that take long to start, and `stream_keeps_up` bars that wait for long.
        """
        daemon = psutil.Process(self._daemon_pid())
        try:
            until(lambda: self._is_steady() and self._is_steady_without(daemon), TIMEOUT_SECONDS)
            self.clock.set(moment)
            time.sleep(2 * CLOCK_SECONDS)
        finally:
            daemon.resume()

    def _is_steady_without(self, daemon: psutil.Process) -> bool:
        """Put the daemon to sleep, so that it starts no run; wake it where it has just begun one."""
        daemon.suspend()
        if self._is_steady():
            return True
        daemon.resume()
        return False

    def _is_steady(self) -> bool:
        long_runs = set(self.running().values())
        stream = heartbeat.read_heartbeat(self._state(Role.STREAM))
        is_waiting = Role.STREAM in self.running() and (stream is None or stream.lag != 0)
        return not is_waiting and all(run.is_finished or run.run_id in long_runs for run in self.all_runs())

    def _daemon_pid(self) -> int:
        return next(status.pid for status in self.statuses() if status.name == dagster.DAEMON)

    def all_runs(self) -> list[dg.DagsterRun]:
        """Return the runs, the newest first."""
        return list(self.instance.get_runs())

    def runs(self, role: Role | None = None) -> list[dg.DagsterRun]:
        """Return the runs but those of the hourly purge, which has nothing to do with the market; the newest first."""
        jobs = [JOB_OF[role]] if role else {run.job_name for run in self.all_runs()} - {purge_history.name}
        return [run for run in self.all_runs() if run.job_name in jobs]

    def wait_until_running(self) -> None:
        until(lambda: set(self.running()) == set(Role), TIMEOUT_SECONDS)
        for role, run_id in self.running().items():
            run = self.instance.get_run_by_id(run_id)
            assert run is not None
            assert run.job_name == JOB_OF[role]
            assert run.status is DagsterRunStatus.STARTED

    def wait_until_ended(self) -> None:
        until(lambda: not self.running() and all(run.is_finished for run in self.all_runs()), TIMEOUT_SECONDS)
        assert self.failed() == []

    def close(self, day: date) -> None:
        """Set the clock to the end of the session, and wait for the work that follows it."""
        self.set_clock(session_on("XNYS", day).closed + LAST_REQUEST)
        self.wait_until_ended()
        self.set_clock(at(f"{day:%m-%d}", "21:31"))
        self.wait_for_work_after_the_close(day)

    def wait_for_work_after_the_close(self, day: date) -> None:
        """Wait until the session is summarised, and company facts were fetched after 16:30 in New York."""

        def is_done() -> bool:
            newest = self.instance.get_latest_materialization_event(dg.AssetKey(["postgres", "company"]))
            fetched = newest is not None and newest.timestamp >= at(f"{day:%m-%d}", "21:30").timestamp()
            return fetched and bool(self.bars_of(day)) and all(run.is_finished for run in self.all_runs())

        until(is_done, TIMEOUT_SECONDS)

    def failed(self) -> list[str]:
        """Return which runs have failed, and why."""
        failed = [run for run in self.all_runs() if run.status is DagsterRunStatus.FAILURE]
        return [f"{run.job_name} {run.asset_selection}: {failure_of(self.instance, run.run_id)}" for run in failed]

    def notified(self) -> dict[str, str]:
        """Return title -> text of the notifications."""
        return {one["title"].removeprefix("stock-assets: "): one["message"] for one in self.inbox.messages}

    def incidents(self) -> dict[str, str]:
        """Return the incidents that were notified, but for those of quotes, which this Yahoo does not have."""
        over_or_of_quotes = ("Resolved: ", "quotes_are_fresh")
        return {title: text for title, text in self.notified().items() if not title.startswith(over_or_of_quotes)}

    def check_that_nothing_happens(self) -> None:
        """For some time no run starts, and nothing is notified."""
        runs, incidents = len(self.runs()), self.incidents()
        time.sleep(QUIET_SECONDS)
        assert len(self.runs()) == runs
        assert self.incidents() == incidents
        assert self.running() == {}

    def bars_of(self, day: date) -> dict[str, tuple[int, int]]:
        """Return symbol -> the expected and the stored bars of its session, by its summary."""
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
        made = Week(servers, clock, yahoo.market, inbox, engine)
        stack.callback(made.instance.dispose)
        yield made


def _dagster_by(clock: FakeClock, settings: StackSettings) -> list[Service]:
    """Return Dagster's programs without the webserver, with that clock."""
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
