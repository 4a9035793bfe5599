"""The books of a code location, on the real Kafka and InfluxDB."""

import pytest
from kafka import KafkaAdminClient, TopicPartition

from stock_assets.evaluations.accounting import evaluate_accounting
from stock_assets.evaluations.evaluation import Evaluation
from stock_assets_tests.defs.minutes import FRIDAYS_BARS, Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


def judged(platform: Platform) -> Evaluation:
    return evaluate_accounting(platform.settings, platform.kafka, platform.influxdb)


def let_half_of_the_topic_age_out(platform: Platform) -> int:
    topic = platform.settings.names.topic
    before = {TopicPartition(topic, p): end // 2 for p, end in platform.kafka.end_offsets(topic).items() if end}
    admin = KafkaAdminClient(bootstrap_servers=platform.settings.kafka_bootstrap_servers)
    admin.delete_records(before)
    admin.close()
    return sum(before.values())


def test_what_has_aged_out_of_the_topic_is_told_and_no_fault(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert judged(platform).passed
    gone = let_half_of_the_topic_age_out(platform)
    verdict = judged(platform)
    assert verdict.passed
    assert verdict.figures["aged_out"] == gone > 0
    assert f"{gone:,} messages have aged out" in verdict.summary


def test_more_stored_than_published_is_a_fault_where_nothing_has_aged_out(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS[1:])
    platform.store(FRIDAYS_BARS)
    verdict = judged(platform)
    assert not verdict.passed
    assert verdict.figures["unaccounted_for"] == 1


def test_what_is_not_stored_is_a_fault_unless_it_is_on_its_way(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS[:-1])
    platform.store(FRIDAYS_BARS[:-1])
    platform.publish(FRIDAYS_BARS[-1:])
    assert judged(platform).passed
    platform.store(FRIDAYS_BARS[:-1])  # now the stream has done with the last one, too
    assert not judged(platform).passed
