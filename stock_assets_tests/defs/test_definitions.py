"""What Dagster is shown: the graph's names, and that the source is result everywhere and no secret anywhere."""

from pathlib import Path

import dagster as dg
import pytest

import stock_assets.defs
from spark_streaming.contract.schema import Source
from stock_assets import settings
from stock_assets.definitions import definitions

SECRETS = {"INFLUX_TOKEN": "write-me-not", "INFLUX_READ_TOKEN": "read-me-not", "POSTGRES_PASSWORD": "open-sesame"}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> object:
    """Loads the definitions with values of the environment."""
    monkeypatch.chdir(tmp_path_factory.mktemp("home"))

    def load(**environment: str) -> dg.Definitions:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.code_location.cache_clear()
        return definitions()

    yield load
    settings.code_location.cache_clear()


def test_the_graph_has_these_names(load) -> None:  # type: ignore[no-untyped-def]
    loaded = load()
    graph = loaded.resolve_asset_graph()
    assert {
        key.to_user_string(): sorted(k.to_user_string() for k in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    } == {
        "kafka/real_time_stock_prices": [],
        "kafka/real_time_stock_quotes": [],
        "influxdb/stock_price_v1": ["kafka/real_time_stock_prices"],
        "influxdb/stock_quote_v1": ["kafka/real_time_stock_quotes"],
        "postgres/stock_info": [],
        "postgres/company": ["postgres/stock_info"],
        "postgres/corporate_action": [],
        "postgres/session_summary": ["influxdb/stock_price_v1"],
    }
    assert {key.to_user_string() for key in graph.asset_check_keys} == {
        "influxdb/stock_price_v1:prices_are_fresh",
        "influxdb/stock_price_v1:stream_keeps_up",
        "influxdb/stock_price_v1:stored_equals_published",
        "influxdb/stock_price_v1:prices_are_plausible",
        "influxdb/stock_price_v1:no_dead_letters",
        "influxdb/stock_quote_v1:quotes_are_fresh",
        "influxdb/stock_quote_v1:no_quote_dead_letters",
        "postgres/stock_info:company_facts_are_complete",
        "postgres/session_summary:session_is_complete",
    }
    repository = loaded.get_repository_def()
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    assert jobs == {
        "publish_prices",
        "stream_prices",
        "evaluate_all_checks",
        "refresh_companies",
        "reprocess_prices",
        "repair_gaps",
        "purge_history",
    }
    assert {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs} == {
        "run_programs": "RUNNING",
        "evaluate_checks": "RUNNING",
        "record_and_notify": "RUNNING",
        "automation": "RUNNING",
        "request_repairs": "RUNNING",
    }
    assert {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs} == {
        "purge_history_schedule": "RUNNING",
    }


def test_every_asset_and_check_has_a_description(load) -> None:  # type: ignore[no-untyped-def]
    graph = load().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description
        assert graph.get(key).owners
        assert graph.get(key).kinds
    for check in graph.asset_check_keys:
        assert graph.get(check).description


@pytest.mark.parametrize("source", [Source.REPLAY, Source.SIMULATED])
def test_other_prices_can_not_be_mistaken_for_yahoos(load, source: Source) -> None:  # type: ignore[no-untyped-def]
    graph = load(SOURCE=source.value).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name.endswith(f"_{source}")
        assert "not live Yahoo data" in (node.description or "")
        assert node.tags["source"] == source.value


def test_yahoos_prices_have_the_plain_names(load) -> None:  # type: ignore[no-untyped-def]
    graph = load(SOURCE="yahoo").resolve_asset_graph()
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == {
        "prices",
        "quotes",
        "company",
        "sessions",
    }


def test_no_secret_is_in_what_the_ui_can_show(load) -> None:  # type: ignore[no-untyped-def]
    loaded = load(**SECRETS)
    for name, resource in loaded.get_repository_def().get_top_level_resources().items():
        shown = f"{name} {resource.config_schema.default_value if resource.config_schema.default_provided else ''}"
        assert not any(secret in shown for secret in SECRETS.values())
    assert SECRETS["INFLUX_TOKEN"] not in repr(settings.code_location())


def test_daily_assets_have_a_freshness_policy_tables_their_columns_and_all_a_place(load) -> None:  # type: ignore[no-untyped-def]
    specs = {spec.key.path[-1]: spec for spec in load().resolve_all_asset_specs()}
    for name in ("stock_info", "corporate_action", "company", "session_summary"):
        assert specs[name].freshness_policy is not None
        assert "symbol" in {column.name for column in specs[name].metadata["dagster/column_schema"].columns}
    assert all("://" in str(spec.metadata["dagster/uri"]) for spec in specs.values())


def test_the_settings_are_read_in_one_place() -> None:
    package = Path(stock_assets.defs.__path__[0])
    assert [path for path in package.rglob("*.py") if "code_location" in path.read_text()] == []
