"""What `stocks bench` computes from its samples; the measurements themselves are not part of the test run."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from infra.bench import bars
from infra.bench.ingest import arrival_delays
from infra.bench.latency import percentiles
from infra.bench.meter import Sample, sustained
from infra.bench.soak import StreamSample, summary
from infra.bench.start import medians
from infra.bench.throughput import ratios
from infra.host.errors import StackError
from spark_streaming.contract.validity import rejection_reason
from spark_streaming.parse import line_protocol
from stock_assets_tests.spark_streaming.cases import SENT

MB = 2**20


def test_the_first_batch_is_not_measured() -> None:
    samples = [
        Sample(0.2, 0, 5.0, 0.0, 300 * MB),
        Sample(10.0, 100, 20.0, 1.0, 700 * MB),
        Sample(12.0, 600, 21.0, 2.0, 600 * MB),
        Sample(14.0, 1_100, 22.0, 3.0, 500 * MB),
        Sample(20.0, 1_100, 29.0, 3.5, 100 * MB),  # the shutdown takes CPU, too
    ]
    result = sustained(samples, skip=100)
    assert result.points_per_s == 250
    assert (result.client_cpu_s_per_million, result.server_cpu_s_per_million) == (2_000.0, 2_000.0)
    assert result.peak_rss_mb == 700


def test_the_median_of_an_event_is_that_of_the_starts_that_have_it() -> None:
    found = medians([{"table": 9.0, "tick": 2.0}, {"table": 11.04}, {"table": 30.0, "tick": 4.0}])
    assert list(found.items()) == [("tick", 3.0), ("table", 11.0)]


def test_without_a_first_batch_the_measurement_starts_at_the_first_point() -> None:
    idle = [Sample(seconds / 10, 0, 1.0, 0.0, 0) for seconds in range(10)]
    assert sustained([*idle, Sample(1.9, 500, 1.0, 0.0, 0)], skip=0).points_per_s == 500


@pytest.mark.parametrize("samples", [[], [Sample(1.0, 50, 0.0, 0.0, 0)], [Sample(1.0, 100, 0.0, 0.0, 0)] * 2])
def test_a_measurement_without_points_is_an_error(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="100 of them do not count"):
        sustained(samples, skip=100)


def test_ratios_compare_the_stream_with_the_direct_limit_and_telegraf() -> None:
    direct = {"points_per_s": 200.0, "client_cpu_s_per_million": 1.0}
    job = {"points_per_s": 100.0, "client_cpu_s_per_million": 12.0}
    telegraf = {"points_per_s": 40.0, "client_cpu_s_per_million": 20.0}
    report = {"direct": direct, "job": job, "telegraf": telegraf}
    assert list(ratios(report).values()) == [0.5, 2.5, 0.6]
    assert list(ratios(report | {"telegraf": None}).values()) == [0.5]


def test_percentiles_are_p50_and_p99() -> None:
    assert percentiles(list(range(1, 1001))) == {"p50_ms": 500, "p99_ms": 991}


def test_message_and_line_hold_the_same_bar() -> None:
    for bar in bars.bars(1_000, 7):
        text = bars.message(*bar)
        assert rejection_reason(bar[0].encode(), text.encode(), SENT) is None
        fields = bars.line(*bar).split(" ")[1]
        expected = line_protocol.line("m", json.loads(text), 0).split(" ")[1]
        assert [float(part.split("=")[1].rstrip("i")) for part in fields.split(",")] == [
            float(part.split("=")[1].rstrip("i")) for part in expected.split(",")
        ]


def test_a_soak_reports_when_the_backlog_was_drained_and_the_memory_after_that() -> None:
    backlog = [StreamSample(10.0, 100_000, 900, 10.0), StreamSample(12.0, 60_000, 1_100, 14.0)]
    after = [StreamSample(14.0 + 2 * number, 400 + number, 800 + number, 16.0 + number) for number in range(60)]
    assert summary(backlog + after, rate=1_000) == {
        "backlog_gone_after_s": 4,
        "largest_lag_after": 459,
        "memory_mb_first_sixth": 804,
        "memory_mb_last_sixth": 854,
        "memory_mb_at_most": 1_100,
        "cpu_share_after": 0.5,
    }


def test_a_backlog_that_is_never_drained_is_an_error() -> None:
    with pytest.raises(ValueError, match="still 9,000 messages"):
        summary([StreamSample(1.0, 9_000, 1, 1)], rate=1_000)


def test_a_delay_is_from_the_end_of_a_bar_to_its_append() -> None:
    start = datetime(2026, 11, 20, 15, tzinfo=UTC)
    end = (start + timedelta(minutes=1)).timestamp()
    delays = arrival_delays({start: {f"S{n}": end + 15 + n / 100 for n in range(101)}}, 101)
    assert (delays["first_s"], delays["p50_s"], delays["last_s"]) == (15.0, 15.5, 16.0)


def test_a_bar_that_did_not_arrive_is_an_error() -> None:
    start = datetime(2026, 11, 20, 15, tzinfo=UTC)
    with pytest.raises(StackError, match="1 of 2 bars did not arrive"):
        arrival_delays({start: {"S0": start.timestamp() + 75}}, 2)
