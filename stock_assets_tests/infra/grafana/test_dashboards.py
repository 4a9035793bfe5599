"""Every query of every dashboard on the real databases: it returns rows, with the fields that its panel uses."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.bench.grafana_databases import Frame
from infra.bench.grafana_queries import MOST_POINTS, Query, View, load, queries_of
from infra.grafana.provisioning import DASHBOARDS
from infra.settings import StackSettings
from stock_assets_tests.infra.grafana.filled import END, SYMBOLS, Filled, filled
from stock_assets_tests.infra.grafana.node import needs_node, run_node

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def data(stack: StackSettings, connector_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled(stack, connector_jars, tmp_path_factory.mktemp("replay")) as made:
        yield made


def dashboard(name: str) -> dict[str, Any]:
    return load(DASHBOARDS / f"{name}.json")


def view_of(data: Filled, name: str) -> View:
    """Return the view with which a link of the watchlist opens it; for the pipeline its default view."""
    return {
        "market, daily": data.view(365),
        "market, by the minute": data.view(5, interval="1m"),
        "market, a long range": data.view(90, interval="1m"),
        "watchlist": data.view(1),
        "pipeline": data.view(0.25, stop=datetime.now(UTC)),
    }[name]


VIEWS = ("market, daily", "market, by the minute", "market, a long range", "watchlist", "pipeline")


def answers(data: Filled, name: str) -> dict[Query, list[Frame]]:
    board = dashboard(name.split(",")[0])
    view = data.databases.opened(board, view_of(data, name))
    return {query: data.databases.answer(query, view) for query in queries_of(board)}


@needs_node
@pytest.mark.parametrize("name", VIEWS)
def test_every_panel_gets_rows_and_the_fields_that_it_uses(data: Filled, name: str) -> None:
    given: dict[str, list[dict[str, Any]]] = {}
    for query, frames in answers(data, name).items():
        if query.place.startswith("panel "):
            given.setdefault(query.place.removeprefix("panel "), []).extend(frame.as_json() for frame in frames)
    rendered = run_node("render.mjs", given={"dashboard": dashboard(name.split(",")[0]), "answers": given})
    assert {panel: result["missing"] for panel, result in rendered.items() if result["missing"]} == {}
    assert {panel for panel, result in rendered.items() if not any(f["rows"] for f in result["frames"])} == set()


@pytest.mark.parametrize("name", VIEWS)
def test_no_series_has_more_points_than_grafana_accepts(data: Filled, name: str) -> None:
    for query, frames in answers(data, name).items():
        assert all(frame.rows <= MOST_POINTS * query.max_data_points for frame in frames), query.name


def by_ref(data: Filled, name: str, panel: int) -> dict[str, list[Frame]]:
    return {q.ref_id: frames for q, frames in answers(data, name).items() if q.place == f"panel {panel}"}


def rows(frames: list[Frame]) -> int:
    return sum(frame.rows for frame in frames)


@pytest.mark.parametrize("panel", [4, 5, 6, 8, 9])
def test_a_range_of_more_than_a_month_reads_sessions_and_a_shorter_one_bars(data: Filled, panel: int) -> None:
    short, long = by_ref(data, "market, by the minute", panel), by_ref(data, "market, a long range", panel)
    assert rows(short["A"]) > 0
    assert rows(short["B"]) == 0
    assert rows(long["A"]) == 0
    assert rows(long["B"]) > 0


@pytest.mark.parametrize(
    ("interval", "symbols", "begins"),
    [
        ("1m", ("AAPL",), "2012-11-01T13:30:00Z"),
        ("1m", ("AAPL", "IBM"), "2012-11-01T13:30:00Z"),
        ("1m", ("AAPL", "MSFT"), "2100-01-01T00:00:00Z"),  # nothing is summarised of MSFT
        ("5m", ("AAPL",), "2100-01-01T00:00:00Z"),
    ],
)
def test_sessions_are_read_from_the_day_on_which_summaries_have_no_gap(
    data: Filled, interval: str, symbols: tuple[str, ...], begins: str
) -> None:
    view = data.databases.opened(dashboard("market"), data.view(90, interval=interval, symbols=symbols))
    assert view.variables["sessions_from"] == begins


@pytest.mark.parametrize("panel", [4, 5, 6, 8, 9])
def test_days_that_are_not_summarised_are_aggregated_from_bars(data: Filled, panel: int) -> None:
    """As after the replay of a file, of which only the newest session is summarised automatically."""
    view = data.view(90, interval="1m")
    late = replace(view, variables={**view.variables, "sessions_from": "2013-03-01T14:30:00Z"})
    found = {
        query.ref_id: rows(data.databases.answer(query, late))
        for query in queries_of(dashboard("market"))
        if query.place == f"panel {panel}"
    }
    assert found == {"A": 9, "B": 1}  # of ten sessions with bars of a minute


def test_daily_bars_are_sessions(data: Filled) -> None:
    daily = by_ref(data, "market, daily", 4)
    assert (rows(daily["A"]), rows(daily["B"])) == (250, 0)


def test_several_symbols_are_drawn_together(data: Filled) -> None:
    view = data.databases.opened(dashboard("market"), data.view(365, symbols=("AAPL", "IBM")))
    for query in queries_of(dashboard("market")):
        if query.place in ("panel 8", "panel 9") and query.ref_id == "A":
            labels = [frame.columns[1].labels["symbol"] for frame in data.databases.answer(query, view)]
            assert labels == ["AAPL", "IBM"], query.name


def table(frame: Frame) -> list[dict[str, Any]]:
    names = [column.name for column in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*(c.values for c in frame.columns), strict=True)]


def test_the_watchlist_shows_the_newest_bars_whatever_their_age(data: Filled) -> None:
    query = next(q for q in queries_of(dashboard("watchlist")) if q.place == "panel 1" and q.ref_id == "A")
    [frame] = data.databases.answer(query, data.view(1, stop=datetime.now(UTC)))
    found = {row["symbol"]: row for row in table(frame)}
    assert tuple(found) == SYMBOLS
    apple = found["AAPL"]
    assert (apple["last"], apple["previous"], apple["low"], apple["high"]) == (430.47, 441.4, 429.98, 438.18)
    assert apple["change_percent"] == pytest.approx(-2.476, abs=0.001)
    assert apple["newest_bar"] == datetime(2013, 3, 1, 14, 30, tzinfo=UTC).timestamp() * 1000


def test_a_session_is_aggregated_from_minutes(data: Filled) -> None:
    query = next(q for q in queries_of(dashboard("market")) if q.place == "panel 2" and q.ref_id == "A")
    [frame] = data.databases.answer(query, data.view(5, interval="1m"))
    [apple] = table(frame)
    assert (apple["last"], apple["previous"]) == (103.89, 103.89)
    assert (apple["low"], apple["high"]) == (99.98, pytest.approx(103.91))
    assert apple["volume"] == sum(range(1, 391))


def test_quotes_are_separated_by_market_phase(data: Filled) -> None:
    query = next(q for q in queries_of(dashboard("market")) if q.place == "panel 10")
    view = data.databases.opened(dashboard("market"), data.view(5))
    found = {frame.columns[1].labels["phase"]: frame.columns[1].values for frame in data.databases.answer(query, view)}
    assert max(found["pre"]) < 430 <= min(found["regular"])
    assert found["regular"][-1] == pytest.approx(441.9)


def test_links_of_the_watchlist_open_the_range_of_the_bars(data: Filled) -> None:
    query = next(q for q in queries_of(dashboard("watchlist")) if q.place == "panel 1" and q.ref_id == "A")
    [frame] = data.databases.answer(query, data.view(1, stop=datetime.now(UTC)))
    for row in table(frame):
        assert int(row["from"]) < row["newest_bar"] < int(row["to"])


def test_the_time_until_the_disk_is_full_is_extrapolated_from_the_range(data: Filled) -> None:
    query = next(q for q in queries_of(dashboard("pipeline")) if q.place == "panel 12")
    [frame] = data.databases.answer(query, data.view(0.25, stop=datetime.now(UTC)))
    assert frame.columns[1].values == [pytest.approx(9 * 3600, rel=0.01)]


def test_variables_offer_what_is_stored(data: Filled) -> None:
    offered = {
        query.place: [value for frame in frames for value in frame.columns[0].values]
        for query, frames in answers(data, "market, daily").items()
        if query.place.startswith("variable")
    }
    assert offered["variable symbol"] == list(SYMBOLS)
    assert offered["variable interval"] == ["1m", "1d"]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("Splits", ["AAPL split 7 for 1"]),
        ("Dividends", ["AAPL dividend 2.65 USD"]),
        ("Earnings", ["AAPL earnings"]),
        ("Regular session", ["regular session"] * 5),
    ],
)
def test_events_are_annotated_in_the_charts(data: Filled, name: str, texts: list[str]) -> None:
    query = next(q for q in queries_of(dashboard("market")) if q.place == f"annotation {name}")
    [frame] = data.databases.answer(query, data.view(6.5, interval="1m"))
    assert [row["text"] for row in table(frame)] == texts


def test_a_symbol_without_bars_gives_empty_results_and_no_error(data: Filled) -> None:
    view = data.databases.opened(dashboard("market"), data.view(30, symbols=("NOPE",), interval="5m"))
    for query in queries_of(dashboard("market")):
        if query.place.startswith("panel"):
            assert rows(data.databases.answer(query, view)) == 0, query.name


def test_a_replay_shows_the_range_of_its_bars_by_default(data: Filled) -> None:
    query = next(q for q in queries_of(dashboard("market")) if q.place == "panel 1")
    [frame] = data.databases.answer(query, data.view(5, stop=datetime.now(UTC)))
    daily = next(row for row in table(frame) if row["interval"] == "1d")
    assert int(daily["from"]) < (END - timedelta(days=2)).timestamp() * 1000 < int(daily["to"])
