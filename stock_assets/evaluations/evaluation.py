"""A verdict with its numbers, as all checks give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

STARTUP_GRACE = timedelta(minutes=3)  # until the first bar of all is stored: Spark alone takes up to a minute


@dataclass(frozen=True)
class Evaluation:
    """A verdict with its numbers, not yet said to be of a run or of a sensor."""

    check: str
    passed: bool
    summary: str
    table: Sequence[dg.TableRecord]
    figures: Mapping[str, float]  # plotted over time by the UI
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """What the UI shows."""
        shown: dict[str, dg.MetadataValue] = {"summary": dg.MetadataValue.text(self.summary)}
        if self.table:
            shown["details"] = dg.MetadataValue.table(list(self.table))
        return {**shown, **{name: dg.MetadataValue.float(float(figure)) for name, figure in self.figures.items()}}

    def as_result(self) -> dg.AssetCheckResult:
        """For a check that runs."""
        return dg.AssetCheckResult(
            passed=self.passed,
            check_name=self.check,
            severity=self.severity,
            metadata=self.metadata,
            description=self.summary,
        )

    def as_evaluation(self, key: dg.AssetKey) -> dg.AssetCheckEvaluation:
        """For a sensor: recorded with no run."""
        return dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=self.check,
            passed=self.passed,
            severity=self.severity,
            metadata=self.metadata,
            description=self.summary,
        )


def format_time(moment: datetime | None) -> str:
    """A time (UTC) as tables show it; empty for none."""
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else ""
