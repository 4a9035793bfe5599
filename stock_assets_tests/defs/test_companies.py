"""The metadata of a run about companies."""

from collections import Counter

import dagster as dg
import pytest

from stock_assets.defs.company.assets import _result
from stock_assets.sources.base import FetchFailure
from stock_assets.sources.retries import FetchResult

GONE = FetchFailure("GONE", "unknown symbol", "Yahoo knows no symbol GONE", is_final=True)
SLOW = FetchFailure("AMZN", "timed out", "AMZN timed out")


def test_a_symbol_that_the_source_does_not_know_is_named_and_fails_nothing() -> None:
    result = _result(FetchResult(["AAPL"], [GONE], Counter({"ok": 1, "unknown symbol": 1})), {"dagster/row_count": 1})
    assert result.metadata is not None
    assert result.metadata["refused"] == dg.MetadataValue.json({"GONE": GONE.reason})
    assert result.metadata["answers"] == dg.MetadataValue.json({"ok": 1, "unknown symbol": 1})


def test_symbols_that_fail_to_the_end_fail_the_run_and_the_others_are_reported() -> None:
    with pytest.raises(dg.Failure, match="could not be fetched: AMZN timed out") as failure:
        _result(FetchResult(["AAPL"], [GONE, SLOW], Counter({"ok": 1, "timed out": 4})), {"dagster/row_count": 1})
    assert not failure.value.allow_retries  # it has asked again already
    assert failure.value.metadata["dagster/row_count"].value == 1
    assert set(failure.value.metadata["refused"].value or {}) == {"GONE", "AMZN"}  # type: ignore[arg-type]
