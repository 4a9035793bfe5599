"""The table `ingest_gap`: the bars that the source can't give any more."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine

from stock_assets.pipeline.coverage import PermanentGap
from stock_assets.store.tables import ingest_gap
from stock_assets.store.upsert import upsert


def write_gaps(engine: Engine, gaps: Sequence[PermanentGap]) -> None:
    """Insert gaps that can't be filled any more, or replace those with the same begin."""
    upsert(engine, ingest_gap, [asdict(gap) for gap in gaps])
