from datetime import UTC, datetime, timedelta

from stock_assets.pipeline.lag import PartitionLag, lag_time

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


def test_the_lag_is_the_age_of_the_oldest_message_that_waits() -> None:
    waiting = [
        PartitionLag(0, 10, 10, None),
        PartitionLag(1, 5, 7, NOW - timedelta(seconds=8)),
        PartitionLag(2, 0, 1, NOW - timedelta(seconds=90)),
    ]
    assert lag_time(waiting, NOW) == timedelta(seconds=90)
    assert [partition.messages for partition in waiting] == [0, 2, 1]


def test_nothing_waits_where_all_is_stored_and_a_clock_that_is_ahead_is_no_lag() -> None:
    assert lag_time([PartitionLag(0, 10, 10, None)], NOW) == timedelta(0)
    assert lag_time([PartitionLag(0, 0, 1, NOW + timedelta(seconds=2))], NOW) == timedelta(0)
