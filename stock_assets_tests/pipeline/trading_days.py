"""The platform on an injected clock: every function that decides, minute by minute, and simulated programs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from spark_streaming.contract.heartbeat import Heartbeat, ProgramState
from stock_assets.incidents.detection import find_incidents
from stock_assets.incidents.notifications import Notification, new_notifications
from stock_assets.market.bars import Bar
from stock_assets.market.symbols import delay_of, exchange_of
from stock_assets.pipeline.coverage import Coverage
from stock_assets.pipeline.coverage_updates import after_answer
from stock_assets.pipeline.desired_state import Action, ActiveRun, ObservedState, Role, desired_state, reconcile
from stock_assets.pipeline.evaluation_policy import LastEvaluation, reason_to_evaluate
from stock_assets.pipeline.fetch_planner import plan_requests
from stock_assets.pipeline.freshness import evaluate_freshness, expected_newest
from stock_assets.pipeline.run_records import ACTIVE, CheckVerdict, PipelineRun, keep_since
from stock_assets.sources.yahoo.client import YahooClient
from stock_assets.sources.yahoo.limits import LIMITS
from stock_assets.sources.yahoo.rate_limiter import RateLimiter
from stock_assets.sources.yahoo.source import YahooSource

MINUTE = timedelta(minutes=1)
DELAY, GRACE = timedelta(seconds=15), timedelta(seconds=60)
INTERVAL = "2m"
JOBS = {Role.PRODUCER: "publish_prices", Role.STREAM: "stream_prices"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class World:
    """Symbols, a clock, and what came of it. Programs run as soon as they are started and end when asked to."""

    symbols: tuple[str, ...]
    now: datetime
    stream_crashes: tuple[datetime, datetime] | None = None  # from when until when each stream dies within a minute
    coverage: dict[str, Coverage] = field(default_factory=dict)
    stored: dict[str, datetime] = field(default_factory=dict)
    runs: list[PipelineRun] = field(default_factory=list)
    lag: int = 0
    evaluated_at: list[datetime] = field(default_factory=list)
    verdict: CheckVerdict | None = None
    notifications: list[Notification] = field(default_factory=list)
    actions: list[tuple[datetime, Role, Action]] = field(default_factory=list)
    last_moved: datetime | None = None

    def __post_init__(self) -> None:
        self.source = YahooSource(
            watched=lambda: self.symbols,
            interval=INTERVAL,
            history=timedelta(days=14),
            delay=DELAY,
            client=cast(YahooClient, None),  # nobody is asked: the world gives every bar that is due
            rate_limiter=cast(RateLimiter, None),
        )

    def run_until(self, end: datetime) -> "World":
        while self.now < end:
            self._minute()
            self.now += MINUTE
        return self

    def active_run(self, role: Role) -> PipelineRun | None:
        return next((run for run in self.runs if run.role == role and run.status in ACTIVE), None)

    def run_times(self, role: Role) -> list[tuple[str, str]]:
        """Begin and end of each run, as `20 14:20` (day, time)."""
        return [
            (f"{run.created_at:%d %H:%M}", f"{run.ended_at:%d %H:%M}" if run.ended_at else "")
            for run in self.runs
            if run.role == role
        ]

    def evaluated(self) -> list[tuple[str, str]]:
        """The intervals in which the check was evaluated each minute."""
        intervals: list[list[datetime]] = []
        for moment in self.evaluated_at:
            if intervals and moment - intervals[-1][1] == MINUTE:
                intervals[-1][1] = moment
            else:
                intervals.append([moment, moment])
        return [(f"{begin:%d %H:%M}", f"{end:%d %H:%M}") for begin, end in intervals]

    def notified(self) -> list[str]:
        return [f"{notification.written_at:%d %H:%M} {notification.title}" for notification in self.notifications]

    def _minute(self) -> None:
        self._reconcile()
        self._work()
        self._evaluate()
        verdicts = [self.verdict] if self.verdict else []
        self.notifications += new_notifications(
            self.notifications, find_incidents(verdicts, self.runs, {}, "http://ui", self.now), self.now
        )

    def _reconcile(self) -> None:
        due = self.source.is_due(list(self.coverage.values()), self.now)
        desired = desired_state(due, self.active_run(Role.PRODUCER) is not None, self.lag)
        for decision in reconcile(desired, {role: self._actual(role) for role in Role}, self.now):
            self.actions.append((self.now, decision.role, decision.action))
            if decision.action is Action.START:
                self._start(decision.role)
            if decision.action is Action.DRAIN:
                self._end(decision.role, "SUCCESS")

    def _actual(self, role: Role) -> ObservedState:
        run = self.active_run(role)
        failed = [r.ended_at for r in self.runs if r.role == role and r.status == "FAILURE" and r.ended_at]
        written = Heartbeat(run.run_id, 1, ProgramState.RUNNING, self.now, self.now) if run else None
        runs = [ActiveRun(run.run_id, run.created_at)] if run else []
        return ObservedState(runs, run is not None, written, sorted(failed, reverse=True))

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
        if self.active_run(Role.PRODUCER):
            for request in plan_requests(
                self.symbols, INTERVAL, LIMITS[INTERVAL], timedelta(days=14), DELAY, self.coverage, self.now
            ):
                before = self.coverage.get(request.symbol)
                bar = Bar(request.symbol, INTERVAL, request.target, 1, 1, 1, 1, 1)
                self.lag += before is None or before.newest_bar != bar.start
                row = after_answer(request, before, [bar], self.source.origin, DELAY, self.now)
                self.coverage[request.symbol] = row
        if (
            self.active_run(Role.STREAM)
            and self.stream_crashes
            and self.stream_crashes[0] <= self.now < self.stream_crashes[1]
        ):
            self._end(Role.STREAM, "FAILURE")
        elif self.active_run(Role.STREAM):
            self.lag = 0
            self.stored |= {symbol: row.newest_bar for symbol, row in self.coverage.items() if row.newest_bar}

    def _evaluate(self) -> None:
        exchanges = {exchange_of(symbol) for symbol in self.symbols}
        busy = "at work" if any(self.active_run(role) for role in Role) else "messages wait" if self.lag else ""
        last = (
            LastEvaluation(self.evaluated_at[-1], self.verdict.passed) if self.verdict and self.evaluated_at else None
        )
        if not reason_to_evaluate(exchanges, GRACE + DELAY, last, self.last_moved, busy, self.now):
            return
        late = []
        for symbol in self.symbols:
            exchange = exchange_of(symbol)
            allowed = GRACE + DELAY + delay_of(exchange)
            expected = expected_newest(exchange, INTERVAL, allowed, self.coverage.get(symbol), self.now)
            late += [] if evaluate_freshness(symbol, INTERVAL, self.stored.get(symbol), expected).passed else [symbol]
        recorded = CheckVerdict("prices_are_fresh", "a", "ERROR", not late, f"{late}", [], self.now, self.now)
        self.verdict = keep_since(self.verdict, recorded)
        self.evaluated_at.append(self.now)
