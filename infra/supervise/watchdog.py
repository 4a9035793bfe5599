"""Which services died, and which one keeps dying, from the states that supervisord reports."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.supervise.supervisord import Status

DEATHS, WITHIN_SECONDS = 5, 75.0  # five tries with supervisord's pauses take a minute


@dataclass
class Watchdog:
    """Gets the states of the services every second or so. A service that was stopped has not died."""

    pids: dict[str, int] = field(default_factory=dict)
    deaths: dict[str, list[float]] = field(default_factory=dict)

    def update(self, statuses: Iterable[Status], now: float) -> list[str]:
        """Return a sentence for each service that died since the last call; `now` is in monotonic seconds."""
        deaths = []
        for status in statuses:
            before, self.pids[status.name] = self.pids.get(status.name, 0), status.pid
            if before and status.pid != before and status.state not in ("STOPPING", "STOPPED"):
                self.deaths.setdefault(status.name, []).append(now)
                what = f"started again as {status.pid}" if status.pid else "will be started again"
                deaths.append(f"{status.name} (pid {before}) died; it {what}")
        return deaths

    @property
    def restarts(self) -> dict[str, int]:
        """Service -> how often it has died."""
        return {name: len(deaths) for name, deaths in self.deaths.items()}

    def given_up(self, statuses: Iterable[Status], now: float) -> str | None:
        """Return the service that can't be kept alive: it never came up again, or died five times in about a minute."""
        for status in statuses:
            recent = [death for death in self.deaths.get(status.name, []) if now - death < WITHIN_SECONDS]
            if status.state == "FATAL" or len(recent) >= DEATHS:
                return status.name
        return None
