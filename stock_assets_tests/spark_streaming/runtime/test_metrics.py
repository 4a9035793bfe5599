from datetime import UTC, datetime

from spark_streaming.runtime.metrics import MetricsWindow, line, phases
from spark_streaming.runtime.progress import BatchResult, Totals
from spark_streaming.sink.write_policy import RejectedRecord

OLD, NEW = datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)


def test_a_point_sums_up_what_was_done_since_the_last_one() -> None:
    window = MetricsWindow()
    first = BatchResult(0, points=90, invalid=10, oldest=OLD, newest=OLD, write_seconds=0.25)
    second = BatchResult(
        1, points=50, oldest=NEW, newest=NEW, refused=[RejectedRecord(0, 1, "no")], dead_letter_seconds=1.0
    )
    for batch in (first, second):
        window.add(batch, phases({"addBatch": 1500, "walCommit": 100, "commitOffsets": 50, "latestOffset": 7}, batch))
    assert line(window, 12, 99) == (
        "pipeline-metrics,program=stream batches=2i,records=151i,points=140i,rejected=11i,lag=12i,"
        f"oldest_event={OLD.timestamp():.0f}i,newest_event={NEW.timestamp():.0f}i,"
        "plan_seconds=0.014,work_seconds=3.000,record_seconds=0.300,write_seconds=0.250,dead_letter_seconds=1.000 99\n"
    )


def test_while_a_batch_waits_there_is_still_the_lag() -> None:
    assert (
        line(MetricsWindow(), 7, 99)
        == "pipeline-metrics,program=stream batches=0i,records=0i,points=0i,rejected=0i,lag=7i 99\n"
    )


def test_the_lag_grows_while_nothing_is_done_and_is_unknown_while_kafka_is_away() -> None:
    totals = Totals()
    assert totals.lag is None
    totals.begin({0: 100, 1: 5})
    totals.set_ends({0: 100, 1: 7})
    assert totals.lag == 2
    totals.set_ends({0: 150, 1: 7})
    assert totals.lag == 52
    totals.commit(3, {0: 150, 1: 7})
    assert totals.lag == 0
    totals.set_ends({})
    assert totals.lag is None
