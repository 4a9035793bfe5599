from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, inspect, text

from infra.settings import StackSettings
from spark_streaming.contract.schema import Source
from stock_assets.market.adjustment import ActionKind, CorporateAction, adjustment_factor
from stock_assets.market.companies import CompanyInfo
from stock_assets.market.sessions import SessionSummary
from stock_assets.pipeline.completeness import SessionRepair
from stock_assets.pipeline.coverage import Coverage, PermanentGap
from stock_assets.settings import IngestSettings
from stock_assets.store.companies import read_companies, write_companies
from stock_assets.store.corporate_actions import read_actions, write_actions
from stock_assets.store.coverage import read_coverage, write_coverage
from stock_assets.store.engine import make_engine
from stock_assets.store.ingest_gaps import write_gaps
from stock_assets.store.migrate import upgrade
from stock_assets.store.session_repairs import read_repairs, request_repairs, write_repairs
from stock_assets.store.session_summaries import read_summaries, read_summarised, write_summaries
from stock_assets.store.source_stats import count_answers
from stock_assets.store.tables import metadata
from stock_assets.store.watchlist import add_to_watchlist, read_watchlist, remove_from_watchlist, seed_watchlist

pytestmark = pytest.mark.services

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)


@pytest.fixture
def engine(postgres_server: StackSettings) -> Iterator[Engine]:
    """The schema of source simulated, migrated twice, empty."""
    settings = IngestSettings(stocks_home=postgres_server.stocks_home, source=Source.SIMULATED)
    upgrade(settings)
    upgrade(settings)
    engine = make_engine(settings.postgres)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE watchlist"))
    yield engine
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))
    engine.dispose()


def test_the_migrations_make_what_the_code_expects(engine: Engine) -> None:
    made = inspect(engine)
    assert made.default_schema_name == "stocks_simulated"
    for table in metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in made.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}


def test_a_second_run_on_a_day_updates_and_company_shows_the_newest_row(engine: Engine) -> None:
    write_companies(engine, [CompanyInfo(FRIDAY, "AMZN", shortname="Amazon", marketcap=2_300_000_000_000)])
    write_companies(engine, [CompanyInfo(FRIDAY, "AMZN", shortname="Amazon.com", shortratio=Decimal("1.5"))])
    write_companies(engine, [CompanyInfo(MONDAY, "AMZN", shortname="Amazon on Monday"), CompanyInfo(FRIDAY, "SAP.DE")])
    with engine.connect() as connection:
        history = connection.execute(text("SELECT entry_date, shortname, marketcap FROM stock_info ORDER BY 1, 2"))
        assert [tuple(row) for row in history] == [
            (FRIDAY, "Amazon.com", None),
            (FRIDAY, None, None),
            (MONDAY, "Amazon on Monday", None),
        ]
    newest = read_companies(engine)
    assert [(row["symbol"], row["entry_date"]) for row in newest] == [("AMZN", MONDAY), ("SAP.DE", FRIDAY)]


def test_what_a_person_removed_from_the_watchlist_is_not_seeded_again(engine: Engine) -> None:
    seed_watchlist(engine, ["AMZN", "AAPL"])
    assert remove_from_watchlist(engine, "AMZN")
    assert not remove_from_watchlist(engine, "AMZN")
    seed_watchlist(engine, ["AMZN", "AAPL", "IBM"])
    assert set(read_watchlist(engine)) == {"AAPL", "IBM"}
    assert add_to_watchlist(engine, "AMZN")
    assert not add_to_watchlist(engine, "AMZN")
    assert read_watchlist(engine)[-1] == "AMZN"


def test_coverage_is_replaced_and_read_back_as_it_was(engine: Engine) -> None:
    first = Coverage("AMZN", "1m", "file a", NOON, NOON, "more to come", NOON)
    last = Coverage("AMZN", "1m", "file b", NOON, None, "end of file", None)
    other = Coverage("AMZN", "1d", "file a", NOON, NOON, "more to come", NOON)
    write_coverage(engine, [first, other])
    write_coverage(engine, [last])
    write_coverage(engine, [])
    assert sorted(read_coverage(engine), key=lambda row: row.interval) == [other, last]


def test_the_view_of_adjustment_factors_agrees_with_the_pure_function(engine: Engine) -> None:
    actions = [
        CorporateAction("AAPL", date(2020, 2, 7), ActionKind.DIVIDEND, Decimal("0.77"), "USD", Decimal("325.21")),
        CorporateAction("AAPL", date(2020, 8, 7), ActionKind.DIVIDEND, Decimal("0.82"), "USD", Decimal("455.61")),
        CorporateAction("AAPL", date(2020, 8, 31), ActionKind.SPLIT, Decimal(4)),
    ]
    write_actions(
        engine, [*actions, CorporateAction("IBM", date(2020, 8, 7), ActionKind.DIVIDEND, Decimal("1.63"), "USD")]
    )
    with engine.connect() as connection:
        query = text("SELECT * FROM adjustment_factor WHERE symbol = :s ORDER BY valid_until")
        rows = connection.execute(query, {"s": "AAPL"}).all()
        [ibm] = connection.execute(query, {"s": "IBM"}).all()
    assert [(row.valid_from, row.valid_until) for row in rows] == [
        (None, date(2020, 2, 7)),
        (date(2020, 2, 7), date(2020, 8, 7)),
        (date(2020, 8, 7), date(2020, 8, 31)),
    ]
    for row in rows:
        day = row.valid_from or date(2020, 1, 2)
        assert row.factor == pytest.approx(adjustment_factor(day, actions), abs=Decimal("1e-11"))
        assert row.split_factor == Decimal("0.25")
        assert row.complete
    assert not ibm.complete


def test_a_corrected_dividend_replaces_the_other_and_keeps_its_close(engine: Engine) -> None:
    first = CorporateAction("AAPL", FRIDAY, ActionKind.DIVIDEND, Decimal("0.24"), "USD", Decimal("270.5"))
    write_actions(engine, [first])
    write_actions(engine, [CorporateAction("AAPL", FRIDAY, ActionKind.DIVIDEND, Decimal("0.26"))])
    [kept] = read_actions(engine, "AAPL")
    assert (kept.value, kept.currency, kept.close_before) == (Decimal("0.26"), "USD", Decimal("270.5"))


def test_answers_are_counted_by_hour_and_kind(engine: Engine) -> None:
    count_answers(engine, "bars", {"ok": 3, "rate limited": 1}, NOON)
    count_answers(engine, "bars", {"ok": 2}, NOON.replace(minute=59))
    count_answers(engine, "bars", {}, NOON)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT hour, kind, answers FROM source_answer ORDER BY kind")).all()
    assert [tuple(row) for row in rows] == [(NOON, "ok", 5), (NOON, "rate limited", 1)]


def test_a_gap_is_written_down_once(engine: Engine) -> None:
    for end in (13, 14):
        write_gaps(
            engine, [PermanentGap("AMZN", "2m", NOON, NOON.replace(hour=end), "no longer available from the source")]
        )
    with engine.connect() as connection:
        assert connection.execute(text("SELECT ends_at FROM ingest_gap")).scalars().all() == [NOON.replace(hour=14)]


SUMMARY = SessionSummary(
    FRIDAY, "AMZN", "1m", NOON, NOON, 217.1, 218.0, 216.5, 217.9, 4_000_000_000, 217.35, 390, 389, 1, NOON
)


def test_a_session_is_summarised_again_in_its_row_and_one_without_bars_has_no_price(engine: Engine) -> None:
    halted = replace(SUMMARY, symbol="HALT", open=None, high=None, low=None, close=None, volume=None, vwap=None)
    monday = replace(SUMMARY, session_date=MONDAY)
    write_summaries(engine, [SUMMARY, halted, monday])
    mended = replace(SUMMARY, bars_stored=390, bars_missing=0)
    write_summaries(engine, [mended])
    assert read_summaries(engine, FRIDAY, FRIDAY) == [mended, halted]
    assert read_summarised(engine, [monday.key, (MONDAY, "HALT", "1m")]) == {monday.key: NOON}


def test_the_source_is_asked_again_once_for_a_session(engine: Engine) -> None:
    wanted = SessionRepair(FRIDAY, "AMZN", "1m", NOON, 380)
    request_repairs(engine, [wanted])
    assert read_repairs(engine, unfinished=True) == {wanted.key: wanted}
    done = replace(wanted, asked_at=NOON, bars_given=10, finished_at=NOON)
    write_repairs(engine, [done])
    request_repairs(engine, [replace(wanted, bars_stored=385)])
    assert read_repairs(engine) == {wanted.key: done}
    assert read_repairs(engine, first=MONDAY) == {}
    assert read_repairs(engine, unfinished=True) == {}
