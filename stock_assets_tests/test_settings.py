"""The settings as people are told of them: `.env.example` and the README's table say what the classes do."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from infra.settings import StackSettings
from spark_streaming.contract.schema import Source
from spark_streaming.settings import StreamSettings
from stock_assets.settings import CodeLocationSettings, SharedSettings
from stock_assets_tests.services.fixtures import no_settings_around

ROOT = Path(__file__).parent.parent

# Told by the stack to its own programs, and to nobody else.
INTERNAL = {"PARENT_PID", "STACK_STARTED_AT", "SPARK_JARS"}

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
