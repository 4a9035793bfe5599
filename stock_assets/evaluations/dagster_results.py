"""Evaluations as Dagster takes them: of a check that runs, and of a sensor that records them without a run."""

import dagster as dg

from stock_assets.evaluations.evaluation import Evaluation


def check_result(evaluation: Evaluation) -> dg.AssetCheckResult:
    """Convert an evaluation to the result of an asset check."""
    return dg.AssetCheckResult(
        passed=evaluation.passed,
        check_name=evaluation.check,
        severity=dg.AssetCheckSeverity(evaluation.severity.value),
        metadata=_metadata(evaluation),
        description=evaluation.summary,
    )


def check_evaluation(evaluation: Evaluation, key: dg.AssetKey) -> dg.AssetCheckEvaluation:
    """Convert an evaluation to the event that a sensor records of the asset `key` without a run."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=evaluation.check,
        passed=evaluation.passed,
        severity=dg.AssetCheckSeverity(evaluation.severity.value),
        metadata=_metadata(evaluation),
        description=evaluation.summary,
    )


def _metadata(evaluation: Evaluation) -> dict[str, dg.MetadataValue]:
    shown: dict[str, dg.MetadataValue] = {"summary": dg.MetadataValue.text(evaluation.summary)}
    if evaluation.rows:
        shown["details"] = dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in evaluation.rows])
    return shown | {name: dg.MetadataValue.float(float(figure)) for name, figure in evaluation.figures.items()}
