"""Summaries, completeness and repairs of sessions, on the real Kafka, InfluxDB and PostgreSQL."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from spark_streaming.contract import clock
from stock_assets import settings
from stock_assets.defs.sessions import sensors
from stock_assets.defs.sessions.jobs import repair_gaps
from stock_assets.pipeline.completeness import SessionRepair
from stock_assets.sessions.pictures import save_picture
from stock_assets.store.session_repairs import read_repairs, request_repairs
from stock_assets_tests.defs.minutes import FRIDAY, FRIDAYS_BARS, HALT, THURSDAY, Platform, bars_of, platform

__all__ = ["platform"]

pytestmark = pytest.mark.services


def test_a_backfill_is_one_run_with_a_row_a_session_and_a_picture_of_the_newest(platform: Platform) -> None:
    platform.publish(bars_of(THURSDAY) + FRIDAYS_BARS)
    platform.store(bars_of(THURSDAY) + FRIDAYS_BARS)
    result = platform.summarise(THURSDAY, FRIDAY)
    assert result.success
    thursday, friday = platform.summaries()
    bars = bars_of(THURSDAY)
    volume = sum(bar.volume for bar in bars)
    worth = sum((bar.high + bar.low + bar.close) / 3 * bar.volume for bar in bars)
    assert (thursday.open, thursday.high, thursday.low, thursday.close) == (100, 116, 90, bars[-1].close)
    assert thursday.volume == volume
    assert thursday.vwap == pytest.approx(worth / volume)
    assert thursday.closes_at == datetime(2026, 11, 19, 21, tzinfo=UTC)
    assert (friday.bars_expected, friday.bars_stored, friday.bars_missing) == (390, 380, 10)
    events = {event.partition: event.materialization.metadata for event in result.get_asset_materialization_events()}
    assert set(events) == {f"{THURSDAY}", f"{FRIDAY}"}
    assert "candlesticks" not in events[f"{THURSDAY}"]
    assert "data:image/png;base64," in str(events[f"{FRIDAY}"]["candlesticks"].value)
    assert (platform.settings.pictures / f"{FRIDAY}.png").read_bytes().startswith(b"\x89PNG")
    assert platform.due() == set()


def test_of_a_replay_the_newest_session_is_due_once_all_is_stored(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    assert platform.due() == set()  # nothing is stored yet
    platform.store(FRIDAYS_BARS)
    assert platform.due() == {f"{FRIDAY}"}
    platform.renew_heartbeat()
    assert platform.due() == set()  # something has just moved: it may be about to end


def test_what_is_missing_is_asked_for_once_and_the_summary_follows(platform: Platform) -> None:
    lost = FRIDAYS_BARS[200:208]
    platform.publish(FRIDAYS_BARS)
    platform.store([bar for bar in FRIDAYS_BARS if bar not in lost])
    assert platform.summarise(FRIDAY, FRIDAY).success
    result = platform.evaluate()
    assert not result.passed
    [row] = result.rows
    assert (row["expected"], row["given"], row["stored"]) == (390, 380, 372)
    assert "(10: the source has none)" in str(row["gaps"])
    assert "(8: given, and not stored)" in str(row["gaps"])
    [first] = platform.tick().run_requests or []
    [again] = platform.tick().run_requests or []
    assert first.run_key == again.run_key  # one run, however often the sensor ticks

    assert platform.repair().success
    assert platform.published()[-8:] == [f"{bar.start:%Y-%m-%dT%H:%M:%SZ}" for bar in lost]
    assert not platform.tick().run_requests
    assert platform.due() == set()  # published, and not stored yet
    platform.store(lost)
    assert not platform.tick().run_requests
    assert platform.due() == {f"{FRIDAY}"}
    assert platform.summarise(FRIDAY, FRIDAY).success
    assert platform.summaries()[0].bars_missing == len(HALT)
    result = platform.evaluate()
    assert result.passed
    assert "10 bars that the source has none of" in result.summary


def test_a_failed_check_does_not_ask_forever(platform: Platform) -> None:
    lost = FRIDAYS_BARS[-1:]
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS[:-1])
    assert not platform.evaluate().passed
    assert platform.tick().run_requests
    assert platform.repair().success
    platform.store(FRIDAYS_BARS[:1])  # the stream has gone on, and not stored it
    assert not platform.evaluate().passed
    [repair] = read_repairs(platform.postgres.engine).values()
    assert (repair.bars_given, repair.finished_at) == (len(lost), None)
    assert not platform.tick().run_requests


def test_a_verdict_is_acted_on_while_the_next_evaluation_is_planned(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS[:-1])
    assert not platform.evaluate().passed
    platform.plan_evaluation()
    assert platform.tick().run_requests


def test_the_check_itself_requests_nothing(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS[:-1])
    assert not platform.evaluate().passed
    assert read_repairs(platform.postgres.engine) == {}


def test_a_repair_whose_run_was_killed_is_retried_but_not_while_a_run_is_active(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS[:-1])
    platform.evaluate()
    [first] = platform.tick().run_requests or []
    assert first.run_key is not None
    run = platform.instance.create_run_for_job(repair_gaps, tags=dict(first.tags), status=dg.DagsterRunStatus.STARTED)
    assert "is active" in str(platform.tick().skip_reason)
    platform.instance.report_run_failed(run, "killed")
    assert "the next attempt is at" in str(platform.tick().skip_reason)
    monkeypatch.setattr(sensors, "now", lambda: clock.now() + timedelta(minutes=5))
    [second] = platform.tick().run_requests or []
    assert second.run_key != first.run_key


def test_a_repair_of_a_date_that_is_no_session_is_finished_and_harms_no_other(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS[:-1])
    moment = clock.now()
    saturday = SessionRepair(date(2026, 11, 21), "AAPL", "1m", moment, 0)
    real = SessionRepair(FRIDAY, "AAPL", "1m", moment, 379)
    request_repairs(platform.postgres.engine, [saturday, real])
    assert platform.tick().run_requests
    repairs = read_repairs(platform.postgres.engine)
    assert (repairs[saturday.key].finished_at is None, repairs[real.key].finished_at) == (False, None)
    request_repairs(platform.postgres.engine, [replace(saturday, session_date=date(2026, 11, 22))])
    assert platform.repair().success  # the run, too, leaves out what is no session
    assert all(repair.asked_at or repair.finished_at for repair in read_repairs(platform.postgres.engine).values())


def test_a_person_can_have_any_session_repaired(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert platform.repair(session=f"{THURSDAY}").success
    assert len(platform.published()) == 380 + 390
    platform.store(bars_of(THURSDAY))
    platform.tick()
    assert platform.due() == {f"{THURSDAY}", f"{FRIDAY}"}


def test_a_day_without_a_session_can_not_be_repaired(platform: Platform) -> None:
    platform.publish(FRIDAYS_BARS)
    with pytest.raises(dg.Failure, match="No watched symbol of all has a session on 2026-11-21"):
        platform.repair(session="2026-11-21")


def test_pictures_are_kept_for_some_days(tmp_path: Path) -> None:
    moment = clock.now()
    save_picture(tmp_path, THURSDAY, b"old", 90, moment)
    save_picture(tmp_path, FRIDAY, b"new", 90, moment + timedelta(days=89))
    assert len(list(tmp_path.glob("*.png"))) == 2
    save_picture(tmp_path, FRIDAY, b"new", 90, moment + timedelta(days=91))
    assert not list(tmp_path.glob("*.png"))


def test_a_session_before_the_first_partition_is_evaluated_and_not_due(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert platform.due() == {f"{FRIDAY}"}
    monkeypatch.setenv("SESSIONS_SINCE", "2026-11-23")
    settings.code_location.cache_clear()
    assert platform.due() == set()
    assert platform.evaluate().summary.endswith("the source has none of")
