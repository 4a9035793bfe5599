"""The table `corporate_action`, which the view `adjustment_factor` is made from."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Engine, RowMapping, func, select
from sqlalchemy.dialects.postgresql import insert

from stock_assets.market.adjustment import ActionKind, CorporateAction
from stock_assets.store.tables import corporate_action


def read_actions(engine: Engine, symbol: str) -> list[CorporateAction]:
    """Return the splits and dividends of a symbol, in the order of time."""
    query = select(corporate_action).where(corporate_action.c.symbol == symbol).order_by(corporate_action.c.ex_date)
    with engine.connect() as connection:
        return list(map(_action, connection.execute(query).mappings().all()))


def read_splits(engine: Engine) -> list[CorporateAction]:
    """Return every split, of all symbols."""
    query = select(corporate_action).where(corporate_action.c.kind == ActionKind.SPLIT.value)
    with engine.connect() as connection:
        return list(map(_action, connection.execute(query).mappings().all()))


def write_actions(engine: Engine, actions: Sequence[CorporateAction]) -> None:
    """Insert or correct rows; a currency or close that is stored stays where the new row has none."""
    if not actions:
        return
    statement = insert(corporate_action)
    newer, known = statement.excluded, corporate_action.c
    replaced = {
        "value": newer.value,
        "currency": func.coalesce(newer.currency, known.currency),
        "close_before": func.coalesce(newer.close_before, known.close_before),
    }
    keys = [column.name for column in corporate_action.primary_key]
    with engine.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=replaced), [asdict(action) for action in actions]
        )


def _action(row: RowMapping) -> CorporateAction:
    return CorporateAction(**{**row, "kind": ActionKind(row["kind"])})
