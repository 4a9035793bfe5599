"""The settings: `.env.example`, the README and the docs name what the classes have, and each program gets its own."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from infra.settings import StackSettings
from infra.stack.servers import write_stack_env
from spark_streaming.contract.schema import QUOTE_TOPIC, Source
from spark_streaming.settings import StreamSettings
from stock_assets.settings import CodeLocationSettings, IngestSettings, SharedSettings
from stock_assets_tests.services.fixtures import no_settings_around

ROOT = Path(__file__).parent.parent

# Told by the stack to its own programs, and to nobody else.
INTERNAL = {"PARENT_PID", "STACK_STARTED_AT"}

# Given to one start of the stream by the job that replays a part of the topic.
OF_ONE_START = {"STARTING_OFFSETS", "ENDING_OFFSETS"}

# Names in capitals in the docs that are no settings of ours.
OTHER_NAMES = {
    "DAGSTER_HOME",  # Dagster's
    "STOCKS_UID",  # of compose alone
}

# A value of each of the stream's settings that is not its default.
OF_STREAM = {
    "source": "simulated", "kafka_bootstrap_servers": "k:1", "stock_price_kafka_topic": "p", "spark_jars": "/jars",
    "spark_class_archive": "/classes",
    "stock_quote_kafka_topic": "q", "influxdb_url": "http://i:1", "influx_org": "o", "influx_token": "t",
    "influxdb_bucket": "b", "influxdb_measurement": "m", "stream_state": "/state", "spark_master": "spark://s:1",
    "spark_driver_memory": "1g", "spark_local_ip": "10.0.0.1", "spark_python": "/python",
    "spark_conf": '{"spark.cores.max": "4"}', "max_offsets_per_trigger": "1", "trigger_milliseconds": "2",
    "quote_trigger_milliseconds": "3", "write_lines": "4", "write_tasks": "5", "write_timeout_seconds": "6.5",
    "write_patience_seconds": "7.5",
}  # fmt: skip

LINE = re.compile(r"^(?P<hidden># )?(?P<name>[A-Z][A-Z_]+)=(?P<value>.*)$", re.MULTILINE)


def example() -> dict[str, str | None]:
    """Name -> the default that is shown; None for one that is commented out."""
    text = (ROOT / ".env.example").read_text()
    return {match["name"]: None if match["hidden"] else match["value"] for match in LINE.finditer(text)}


def fields() -> dict[str, object]:
    found = {**CodeLocationSettings.model_fields, **StackSettings.model_fields}
    return {name.upper(): field.default for name, field in found.items() if name.upper() not in INTERNAL}


def test_the_example_names_every_setting_and_no_other() -> None:
    assert example().keys() == fields().keys()


def test_the_example_shows_the_defaults() -> None:
    for name, shown in example().items():
        if shown is not None:
            default = fields()[name]
            assert default is not PydanticUndefined
            assert shown == (",".join(default) if isinstance(default, tuple) else str(default)), name


def test_the_readme_explains_every_setting() -> None:
    explained = set(re.findall(r"^\| `([A-Z_`, ]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    names = {name for cell in explained for name in re.findall(r"[A-Z_]+", cell)}
    assert names == set(example())


def test_the_docs_name_settings_and_no_others() -> None:
    every = fields().keys() | INTERNAL | OF_ONE_START | OTHER_NAMES
    for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        quoted = " ".join(re.findall(r"`([^`\n]+)`", file.read_text()))
        named = set(re.findall(r"(?<![\w<{$/.-])[A-Z]+(?:_[A-Z]+)+(?![\w*])", quoted))
        assert named <= every, f"{file.name} names {named - every}"


def test_every_setting_of_the_programs_is_a_setting_of_the_platform() -> None:
    of_programs = {name.upper() for name in (*StreamSettings.model_fields, *IngestSettings.model_fields)}
    assert of_programs - OF_ONE_START <= fields().keys() | INTERNAL
    assert OF_STREAM.keys() == StreamSettings.model_fields.keys() - {"parent_pid", "starting_offsets", "ending_offsets"}


def test_the_streams_settings_have_one_default_and_one_range() -> None:
    for name, field in StreamSettings.model_fields.items():
        ours = CodeLocationSettings.model_fields.get(name)
        if ours is not None and ours.default is not None and name not in ("influx_token", "source"):
            default = QUOTE_TOPIC if name == "stock_quote_kafka_topic" else field.default  # none: bars alone
            assert ours.default == default, name
            if ours.annotation in (int, float):
                assert ours.metadata == field.metadata, name


@pytest.mark.parametrize("name", sorted(OF_STREAM))
def test_each_setting_of_the_stream_arrives_from_the_code_locations_environment(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting, value in OF_STREAM.items():
        monkeypatch.setenv(setting.upper(), value)
    environment = CodeLocationSettings().stream_environment()
    assert environment[name.upper()] == OF_STREAM[name]
    assert set(environment) <= {field.upper() for field in StreamSettings.model_fields}


def test_the_sensors_look_where_the_stream_has_its_state(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SharedSettings().state_of("stream") == home / "state" / "yahoo" / "stream"
    monkeypatch.setenv("STREAM_STATE", "shared/state")
    settings = CodeLocationSettings()
    assert settings.state_of("stream") == Path.cwd() / "shared" / "state"
    assert settings.stream_environment()["STREAM_STATE"] == str(settings.state_of("stream"))
    assert settings.state_of("ingest") == home / "state" / "yahoo" / "ingest"


def test_a_running_stack_remembers_where_the_streams_state_and_jars_are(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_STATE", "shared")
    monkeypatch.setenv("SPARK_JARS", "/jars")
    write_stack_env(StackSettings())
    monkeypatch.delenv("STREAM_STATE")
    monkeypatch.delenv("SPARK_JARS")
    settings = CodeLocationSettings()
    assert settings.state_of("stream") == Path.cwd() / "shared"
    assert settings.stream_environment()["SPARK_JARS"] == "/jars"


def test_a_replay_has_no_quotes_to_stream(home: Path) -> None:
    assert CodeLocationSettings(source=Source.REPLAY).stream_environment()["STOCK_QUOTE_KAFKA_TOPIC"] == ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in fields():
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".stocks"


def test_the_environment_wins_over_the_running_stack_and_that_over_dotenv(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    Path(".env").write_text("POSTGRES_PORT=1\nKAFKA_BOOTSTRAP_SERVERS=a:1\nINFLUX_ORG=dotenv\n")
    (home / "stack.env").write_text("KAFKA_BOOTSTRAP_SERVERS=b:2\nINFLUX_ORG=stack\n")
    monkeypatch.setenv("INFLUX_ORG", "environment")
    settings = SharedSettings()
    assert settings.postgres_port == 1
    assert settings.kafka_bootstrap_servers == "b:2"
    assert settings.influx_org == "environment"
    assert settings.stocks_home == home


def test_a_secret_comes_from_its_file_and_each_source_has_its_own(home: Path) -> None:
    for source in ("replay", "simulated"):
        (home / "secrets" / source).mkdir(parents=True)
        (home / "secrets" / source / "influx_token").write_text(f"token of {source}\n")
    (home / "secrets" / "postgres_password").write_text("shared")
    (home / "stack.env").write_text("SOURCE=replay\n")
    assert CodeLocationSettings().influx_token.get_secret_value() == "token of replay"
    assert CodeLocationSettings().postgres_password.get_secret_value() == "shared"
    other = CodeLocationSettings(source=Source.SIMULATED)
    assert other.influx_token.get_secret_value() == "token of simulated"
    assert "token of" not in repr(other)


def test_symbols_are_split_and_each_is_taken_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS", " AMZN, AAPL,,AMZN ")
    assert SharedSettings().stocks == ("AMZN", "AAPL")


@pytest.mark.parametrize(("source", "suffix"), [("yahoo", ""), ("replay", "-replay"), ("simulated", "-simulated")])
def test_every_name_of_another_source_has_its_suffix(home: Path, source: Source, suffix: str) -> None:
    settings = SharedSettings(source=source)
    assert settings.names.topic == f"real-time-stock-prices{suffix}"
    assert settings.names.dead_letter_topic == f"real-time-stock-prices{suffix}.dead-letter"
    assert settings.names.quote_topic == f"real-time-stock-quotes{suffix}"
    assert settings.names.quote_dead_letter_topic == f"real-time-stock-quotes{suffix}.dead-letter"
    assert settings.names.bucket == f"stock-prices{suffix}"
    assert settings.names.postgres_schema == f"stocks{suffix.replace('-', '_')}"
    assert settings.state_of("stream") == home / "state" / source / "stream"


@pytest.mark.parametrize("name", ["influx_org", "influxdb_bucket"])
@pytest.mark.parametrize("settings", [StackSettings, CodeLocationSettings, StreamSettings])
def test_an_empty_name_is_refused_before_influxdb_refuses_each_bar(
    settings: type[BaseSettings], name: str, tmp_path: Path
) -> None:
    """To a write for no organization InfluxDB says 400 and "invalid", its words for lines that it can't take."""
    with no_settings_around(tmp_path), pytest.raises(ValidationError, match=f"{name}\n.*at least 1 character"):
        settings.model_validate({name: ""})
