"""The table `check_verdict`: the newest evaluation of each check, for readers without access to Dagster."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine, select

from stock_assets.pipeline.run_records import CheckVerdict, keep_since
from stock_assets.store.tables import check_verdict
from stock_assets.store.upsert import upsert


def read_verdicts(engine: Engine) -> dict[str, CheckVerdict]:
    """Check name -> its newest verdict."""
    with engine.connect() as connection:
        rows = connection.execute(select(check_verdict)).mappings().all()
    return {row["check_name"]: CheckVerdict(**row) for row in rows}


def write_verdicts(engine: Engine, verdicts: Sequence[CheckVerdict]) -> None:
    """Replace the rows of these checks; `since` stays where the result is the same. For one writer at a time."""
    before = read_verdicts(engine)
    upsert(engine, check_verdict, [asdict(keep_since(before.get(v.check_name), v)) for v in verdicts])
