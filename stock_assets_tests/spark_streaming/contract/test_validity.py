from collections.abc import Callable

import pytest

from spark_streaming.contract.quote_validity import quote_rejection_reason
from spark_streaming.contract.validity import Reason, rejection_reason
from stock_assets_tests.spark_streaming.cases import SENT, Case, quote_cases, validity_cases

CASES = validity_cases()
QUOTES = quote_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_rejection_reason_of_each_case(case: Case) -> None:
    assert rejection_reason(case.key, case.value, SENT) == case.reason


@pytest.mark.parametrize("case", QUOTES, ids=lambda case: case.name)
def test_the_rejection_reason_of_each_quote(case: Case) -> None:
    assert quote_rejection_reason(case.key, case.value, SENT) == case.reason


@pytest.mark.parametrize("depth", range(50, 1000, 50))
def test_the_rejection_reason_is_the_same_for_every_reader(depth: int) -> None:
    """A batch is read a second time where it holds something to refuse, and then by another caller."""
    plain = next(case for case in CASES if case.reason is None and case.value)
    assert plain.value is not None
    nested = plain.value[:-1] + b', "a": ' + b"[" * depth + b"]" * depth + b"}"

    def from_below(calls: int, ask: Callable[[], Reason | None]) -> Reason | None:
        return from_below(calls - 1, ask) if calls else ask()

    assert from_below(100, lambda: rejection_reason(plain.key, nested, SENT)) == rejection_reason(
        plain.key, nested, SENT
    )


def test_every_reason_has_a_case_and_a_meaning() -> None:
    others = {Reason.REFUSED_BY_STREAM, Reason.REFUSED_BY_DATABASE}
    reasons = {case.reason for case in (*CASES, *QUOTES)} - {None}
    assert reasons == {str(rejection_reason) for rejection_reason in Reason if rejection_reason not in others}
    assert all(rejection_reason.meaning for rejection_reason in Reason)
