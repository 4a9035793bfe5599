from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spark_streaming.contract.backoff import delay_seconds


def test_each_delay_is_twice_the_one_before_up_to_the_longest() -> None:
    assert [delay_seconds(attempt, 1.0, 20.0) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 20, 20]


def test_an_attempt_before_the_first_counts_as_the_first() -> None:
    assert delay_seconds(0, 5.0, 60.0) == delay_seconds(-3, 5.0, 60.0) == 5.0


@given(st.floats(0.01, 100), st.floats(100, 1e5), st.integers(1, 10**12))
def test_delays_never_shrink_and_never_exceed_the_longest(first: float, longest: float, attempt: int) -> None:
    delays = [delay_seconds(number, first, longest) for number in (attempt, attempt + 1)]
    assert all(earlier <= later <= longest for earlier, later in pairwise(delays))
