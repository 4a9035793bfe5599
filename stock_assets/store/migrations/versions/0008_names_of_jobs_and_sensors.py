"""The names that jobs and sensors have since they were renamed, in what was written before."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# Old -> new; as they were then, whatever they are called later.
_JOBS = {"replay_prices": "reprocess_prices", "judge_everything": "evaluate_all_checks"}
_SENSORS = {
    "keep_prices_flowing": "run_programs",
    "judge_prices": "evaluate_checks",
    "report_what_happens": "record_and_notify",
    "follow_automation": "automation",
    "repair_sessions": "request_repairs",
}


def upgrade() -> None:
    """Rename the jobs of runs, and the subjects and titles of notifications, so that open incidents can end."""
    _rename(_JOBS, _SENSORS)


def downgrade() -> None:
    """Give them their old names again."""
    _rename({new: old for old, new in _JOBS.items()}, {new: old for old, new in _SENSORS.items()})


def _rename(jobs: dict[str, str], sensors: dict[str, str]) -> None:
    for old, new in jobs.items():
        op.execute(sa.text("UPDATE pipeline_run SET job = :new WHERE job = :old").bindparams(old=old, new=new))
        _rename_subject("run", old, new)
    for old, new in sensors.items():
        _rename_subject("sensor", old, new)


def _rename_subject(kind: str, old: str, new: str) -> None:
    renamed = sa.text(
        "UPDATE notice SET subject = :subject, title = replace(title, :old, :new) WHERE subject = :before"
    )
    op.execute(renamed.bindparams(subject=f"{kind}:{new}", before=f"{kind}:{old}", old=old, new=new))
