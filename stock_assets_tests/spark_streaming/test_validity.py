import pytest

from spark_streaming.contract.validity import Reason, reason
from stock_assets_tests.spark_streaming.cases import SENT, Case, validity_cases

CASES = validity_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_of_each_case(case: Case) -> None:
    assert reason(case.key, case.value, SENT) == case.reason


def test_every_reason_has_a_case_and_a_meaning() -> None:
    others = {Reason.REFUSED_BY_STREAM, Reason.REFUSED_BY_DATABASE}
    assert {case.reason for case in CASES} - {None} == {str(reason) for reason in Reason if reason not in others}
    assert all(reason.meaning for reason in Reason)
