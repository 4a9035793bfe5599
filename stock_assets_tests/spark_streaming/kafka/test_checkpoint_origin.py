"""Whether points go where they went before, however the address is written."""

import pytest

from spark_streaming.kafka.checkpoint_origin import (
    CheckpointOrigin,
    is_other_database,
    make_target,
    normalize_address,
)

HERE = CheckpointOrigin("one", make_target("http://127.0.0.1:8086", "stocks", "prices"), "stock-price-v1")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8086",
        "http://localhost:8086",
        "http://localhost:8086/",
        "HTTP://LocalHost:8086//",
        "http://[::1]:8086",
    ],
)
def test_another_spelling_is_the_same_database(url: str) -> None:
    assert not is_other_database(CheckpointOrigin("one", f"{url} stocks prices", "stock-price-v1"), HERE)
    spelled = CheckpointOrigin(None, make_target(url, "stocks", "prices"), "stock-price-v1")
    assert not is_other_database(HERE, spelled)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://db.example:80/", "http://db.example"),
        ("https://DB.example:443", "https://db.example"),
        ("http://db.example:443", "http://db.example:443"),
        ("https://db.example/Influx/", "https://db.example/Influx"),
        ("http://[fd00::1]:8086", "http://[fd00::1]:8086"),
        ("http://db.example:none", "http://db.example:none"),
        ("", ""),
    ],
)
def test_an_address_has_one_normal_form(url: str, normal: str) -> None:
    assert normalize_address(url) == normal
    assert normalize_address(normal) == normal


@pytest.mark.parametrize(
    "before",
    [
        CheckpointOrigin("one", "http://127.0.0.1:8087 stocks prices", "stock-price-v1"),
        CheckpointOrigin("one", "https://127.0.0.1:8086 stocks prices", "stock-price-v1"),
        CheckpointOrigin("one", "http://127.0.0.1:8086 others prices", "stock-price-v1"),
        CheckpointOrigin("one", "http://127.0.0.1:8086 stocks others", "stock-price-v1"),
        CheckpointOrigin("one", "http://127.0.0.1:8086 stocks prices", "stock-price-v0"),
        CheckpointOrigin("one", None, "stock-price-v0"),
    ],
    ids=["port", "scheme", "organization", "bucket", "measurement", "measurement alone"],
)
def test_another_database_or_measurement_is_another(before: CheckpointOrigin) -> None:
    assert is_other_database(before, HERE)


@pytest.mark.parametrize(
    "before",
    [CheckpointOrigin(), CheckpointOrigin("one"), CheckpointOrigin("one", "http://localhost:8086 stocks prices")],
    ids=["no file", "no database", "no measurement"],
)
def test_a_file_of_an_older_version_goes_on(before: CheckpointOrigin) -> None:
    assert not is_other_database(before, HERE)
