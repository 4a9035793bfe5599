"""The platform on an injected clock: every function that decides, minute by minute, with a world that obeys."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from spark_streaming.contract.lifecycle import Heartbeat, State
from stock_assets.market.bars import Bar
from stock_assets.market.cadence import requests_due
from stock_assets.market.calendars import delay_of, exchange_of
from stock_assets.market.coverage import Coverage
from stock_assets.market.covering import after_answer
from stock_assets.market.freshness import expected_newest, judge
from stock_assets.market.notices import Notice, news
from stock_assets.market.reconcile import Action, ActiveRun, Actual, Role, reconcile, wanted
from stock_assets.market.records import ACTIVE, CheckVerdict, PipelineRun, going_on
from stock_assets.market.stake import Judged, at_stake
from stock_assets.market.troubles import troubles
from stock_assets.sources.manners import Manners
from stock_assets.sources.yahoo import _SOLD, YahooSource
from stock_assets.sources.yahoo_client import YahooClient

MINUTE = timedelta(minutes=1)
DELAY, GRACE = timedelta(seconds=15), timedelta(seconds=60)
INTERVAL = "2m"
JOBS = {Role.PRODUCER: "publish_prices", Role.STREAM: "stream_prices"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class World:
    """Symbols, a clock, and what came of it. Programs live as soon as they are started and end when asked to."""

    symbols: tuple[str, ...]
    now: datetime
    stream_crashes: tuple[datetime, datetime] | None = None  # from when until when each stream dies within a minute
    coverage: dict[str, Coverage] = field(default_factory=dict)
    stored: dict[str, datetime] = field(default_factory=dict)
    runs: list[PipelineRun] = field(default_factory=list)
    lag: int = 0
    judged_at: list[datetime] = field(default_factory=list)
    verdict: CheckVerdict | None = None
    notices: list[Notice] = field(default_factory=list)
    actions: list[tuple[datetime, Role, Action]] = field(default_factory=list)
    last_moved: datetime | None = None

    def __post_init__(self) -> None:
        self.source = YahooSource(
            watched=lambda: self.symbols,
            interval=INTERVAL,
            history=timedelta(days=14),
            delay=DELAY,
            client=cast(YahooClient, None),  # nobody is asked: the world gives every bar that is due
            manners=cast(Manners, None),
        )

    def live_until(self, end: datetime) -> "World":
        while self.now < end:
            self._minute()
            self.now += MINUTE
        return self

    def living(self, role: Role) -> PipelineRun | None:
        return next((run for run in self.runs if run.role == role and run.status in ACTIVE), None)

    def lives(self, role: Role) -> list[tuple[str, str]]:
        """Begin and end of each run, as `20 14:20` (day, time)."""
        return [
            (f"{run.created_at:%d %H:%M}", f"{run.ended_at:%d %H:%M}" if run.ended_at else "")
            for run in self.runs
            if run.role == role
        ]

    def judged(self) -> list[tuple[str, str]]:
        """The stretches in which a verdict was recorded each minute."""
        stretches: list[list[datetime]] = []
        for moment in self.judged_at:
            if stretches and moment - stretches[-1][1] == MINUTE:
                stretches[-1][1] = moment
            else:
                stretches.append([moment, moment])
        return [(f"{begin:%d %H:%M}", f"{end:%d %H:%M}") for begin, end in stretches]

    def told(self) -> list[str]:
        return [f"{notice.written_at:%d %H:%M} {notice.title}" for notice in self.notices]

    def _minute(self) -> None:
        self._reconcile()
        self._work()
        self._judge()
        verdicts = [self.verdict] if self.verdict else []
        self.notices += news(self.notices, troubles(verdicts, self.runs, {}, "http://ui", self.now), self.now)

    def _reconcile(self) -> None:
        due = self.source.is_due(list(self.coverage.values()), self.now)
        should_live = wanted(due, self.living(Role.PRODUCER) is not None, self.lag)
        for decision in reconcile(should_live, {role: self._actual(role) for role in Role}, self.now):
            self.actions.append((self.now, decision.role, decision.action))
            if decision.action is Action.START:
                self._start(decision.role)
            if decision.action is Action.DRAIN:
                self._end(decision.role, "SUCCESS")

    def _actual(self, role: Role) -> Actual:
        run = self.living(role)
        failed = [r.ended_at for r in self.runs if r.role == role and r.status == "FAILURE" and r.ended_at]
        beat = Heartbeat(run.run_id, 1, State.RUNNING, self.now, self.now) if run else None
        runs = [ActiveRun(run.run_id, run.created_at)] if run else []
        return Actual(runs, run is not None, beat, sorted(failed, reverse=True))

    def _start(self, role: Role) -> None:
        run_id = f"{role}-{len(self.runs)}"
        self.runs.append(PipelineRun(run_id, role, JOBS[role], "STARTED", self.now, self.now, None, ""))

    def _end(self, role: Role, status: str) -> None:
        self.runs = [
            PipelineRun(r.run_id, r.role, r.job, status, r.created_at, r.started_at, self.now, "it crashed")
            if r.role == role and r.status in ACTIVE
            else r
            for r in self.runs
        ]
        self.last_moved = self.now

    def _work(self) -> None:
        if self.living(Role.PRODUCER):
            for request in requests_due(
                self.symbols, INTERVAL, _SOLD[INTERVAL], timedelta(days=14), DELAY, self.coverage, self.now
            ):
                before = self.coverage.get(request.symbol)
                bar = Bar(request.symbol, INTERVAL, request.target, 1, 1, 1, 1, 1)
                self.lag += before is None or before.newest_bar != bar.start
                row = after_answer(request, before, [bar], self.source.origin, DELAY, self.now)
                self.coverage[request.symbol] = row
        if (
            self.living(Role.STREAM)
            and self.stream_crashes
            and self.stream_crashes[0] <= self.now < self.stream_crashes[1]
        ):
            self._end(Role.STREAM, "FAILURE")
        elif self.living(Role.STREAM):
            self.lag = 0
            self.stored |= {symbol: row.newest_bar for symbol, row in self.coverage.items() if row.newest_bar}

    def _judge(self) -> None:
        exchanges = {exchange_of(symbol) for symbol in self.symbols}
        busy = "at work" if any(self.living(role) for role in Role) else "messages wait" if self.lag else ""
        last = Judged(self.judged_at[-1], self.verdict.passed) if self.verdict and self.judged_at else None
        if not at_stake(exchanges, GRACE + DELAY, last, self.last_moved, busy, self.now):
            return
        late = []
        for symbol in self.symbols:
            exchange = exchange_of(symbol)
            allowed = GRACE + DELAY + delay_of(exchange)
            expected = expected_newest(exchange, INTERVAL, allowed, self.coverage.get(symbol), self.now)
            late += [] if judge(symbol, INTERVAL, self.stored.get(symbol), expected).passed else [symbol]
        said = CheckVerdict("prices_are_fresh", "a", "ERROR", not late, f"{late}", [], self.now, self.now)
        self.verdict = going_on(self.verdict, said)
        self.judged_at.append(self.now)
