"""Summaries, completeness and repairs of sessions, on the real Kafka, InfluxDB and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from spark_streaming.contract import clock
from stock_assets.sessions.pictures import keep
from stock_assets.store.sessions import read_repairs
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
    platform.beat()
    assert platform.due() == set()  # something has just moved: it may be about to end


def test_what_is_missing_is_asked_for_once_and_the_summary_follows(platform: Platform) -> None:
    lost = FRIDAYS_BARS[200:208]
    platform.publish(FRIDAYS_BARS)
    platform.store([bar for bar in FRIDAYS_BARS if bar not in lost])
    assert platform.summarise(FRIDAY, FRIDAY).success
    said = platform.judge()
    assert not said.passed
    [row] = said.rows
    assert (row["expected"], row["given"], row["stored"]) == (390, 380, 372)
    assert "(10: the source has none)" in str(row["gaps"])
    assert "(8: given, and not stored)" in str(row["gaps"])
    [first] = platform.tick().run_requests or []
    [again] = platform.tick().run_requests or []
    assert first.run_key == again.run_key  # one run, however often the sensor looks

    assert platform.repair().success
    assert platform.published()[-8:] == [f"{bar.start:%Y-%m-%dT%H:%M:%SZ}" for bar in lost]
    assert not platform.tick().run_requests
    assert platform.due() == set()  # published, and not stored yet
    platform.store(lost)
    assert not platform.tick().run_requests
    assert platform.due() == {f"{FRIDAY}"}
    assert platform.summarise(FRIDAY, FRIDAY).success
    assert platform.summaries()[0].bars_missing == len(HALT)
    said = platform.judge()
    assert said.passed
    assert "10 bars that the source has none of" in said.summary


def test_a_failed_check_does_not_ask_forever(platform: Platform) -> None:
    lost = FRIDAYS_BARS[-1:]
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS[:-1])
    assert not platform.judge().passed
    assert platform.repair().success
    platform.store(FRIDAYS_BARS[:1])  # the stream has gone on, and not stored it
    assert not platform.judge().passed
    [repair] = read_repairs(platform.postgres.engine).values()
    assert (repair.bars_given, repair.finished_at) == (len(lost), None)
    assert not platform.tick().run_requests


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
    keep(tmp_path, THURSDAY, b"old", 90, moment)
    keep(tmp_path, FRIDAY, b"new", 90, moment + timedelta(days=89))
    assert len(list(tmp_path.glob("*.png"))) == 2
    keep(tmp_path, FRIDAY, b"new", 90, moment + timedelta(days=91))
    assert not list(tmp_path.glob("*.png"))


def test_a_session_that_is_on_no_partition_is_told(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.publish(FRIDAYS_BARS)
    platform.store(FRIDAYS_BARS)
    assert platform.judge().summary.endswith("the source has none of")
    later = platform.settings.model_copy(update={"sessions_since": datetime(2026, 11, 23, tzinfo=UTC).date()})
    monkeypatch.setattr(platform, "settings", later)
    assert "AAPL: this session is summarised on no partition" in platform.judge().summary
