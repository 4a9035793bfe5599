"""The accounting of a code location, on the real Kafka and InfluxDB."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
import urllib3
from kafka import KafkaAdminClient, TopicPartition

from stock_assets.evaluations.accounting import evaluate_accounting
from stock_assets.evaluations.evaluation import Evaluation
from stock_assets_tests.defs.minutes import FRIDAYS_BARS, Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


def evaluated(platform: Platform) -> Evaluation:
    return evaluate_accounting(platform.settings, platform.kafka, platform.influxdb)


def let_half_of_the_topic_age_out(platform: Platform) -> int:
    topic = platform.settings.names.topic
    before = {TopicPartition(topic, p): end // 2 for p, end in platform.kafka.end_offsets(topic).items() if end}
    admin = KafkaAdminClient(bootstrap_servers=platform.settings.kafka_bootstrap_servers)
    admin.delete_records(before)
    admin.close()
    return sum(before.values())


def test_what_has_aged_out_of_the_topic_is_reported_and_no_fault(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert evaluated(platform).passed
    gone = let_half_of_the_topic_age_out(platform)
    said = evaluated(platform)
    assert said.passed
    assert said.figures["aged_out"] == gone > 0
    assert f"{gone:,} messages have aged out" in said.summary


def test_more_stored_than_published_is_a_fault_where_nothing_has_aged_out(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS[1:])
    platform.store(FRIDAYS_BARS)
    said = evaluated(platform)
    assert not said.passed
    assert said.figures["unaccounted_for"] == 1


def test_what_is_not_stored_is_a_fault_unless_it_is_pending(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS[:-1])
    platform.store(FRIDAYS_BARS[:-1])
    platform.publish(FRIDAYS_BARS[-1:])
    assert evaluated(platform).passed
    platform.store(FRIDAYS_BARS[:-1])  # now the stream has done with the last one, too
    assert not evaluated(platform).passed


def test_a_lost_bar_is_named_also_while_another_is_pending(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS[:-1])
    platform.store(FRIDAYS_BARS[1:-1])
    platform.publish(FRIDAYS_BARS[-1:])
    said = evaluated(platform)
    assert not said.passed
    assert said.figures["unaccounted_for"] == 1
    assert f"AAPL 1m {FRIDAYS_BARS[0].start:%Y-%m-%dT%H:%M:%SZ} (not stored" in said.summary


def test_a_lost_correction_is_found_and_only_what_is_new_is_read(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert evaluated(platform).passed
    corrected = replace(FRIDAYS_BARS[3], close=FRIDAYS_BARS[3].close + 1)
    platform.publish([corrected])
    assert evaluated(platform).passed  # on its way
    platform.store(FRIDAYS_BARS[4:5])  # the stream has done with it, and not stored it
    said = evaluated(platform)
    assert "its correction is lost" in said.summary
    platform.store([corrected])
    said = evaluated(platform)
    assert said.passed
    [row] = said.rows
    assert (row["published"], row["superseded"], row["stored"]) == (380, 1, 380)


def delete_point(platform: Platform, start: datetime) -> None:
    settings = platform.settings
    query = urlencode({"org": settings.influx_org, "bucket": settings.names.bucket})
    end = start + timedelta(seconds=1)
    response = urllib3.request(
        "POST",
        f"{settings.influxdb_url}/api/v2/delete?{query}",
        body=json.dumps({"start": start.isoformat(), "stop": end.isoformat()}),
        headers={"Authorization": f"Token {settings.influx_token.get_secret_value()}"},
    )
    assert response.status == 204, response.data


def test_a_point_that_was_deleted_after_it_had_been_accounted_for_is_named(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert evaluated(platform).passed
    delete_point(platform, FRIDAYS_BARS[5].start)
    evaluation = evaluated(platform)
    assert not evaluation.passed
    assert evaluation.figures["unaccounted_for"] == 1
    assert f"AAPL 1m {FRIDAYS_BARS[5].start:%Y-%m-%dT%H:%M:%SZ} (not stored" in evaluation.summary
