"""Has sessions repaired for which a check has asked, once each."""

import dagster as dg

from spark_streaming.contract.clock import now
from stock_assets.defs.sessions.jobs import finished, repair_gaps
from stock_assets.resources.influxdb import InfluxDBResource
from stock_assets.resources.postgres import PostgresResource
from stock_assets.settings import code_location
from stock_assets.store.sessions import read_repairs, write_repairs


@dg.sensor(
    job=repair_gaps,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts repair_gaps for sessions that session_is_complete has found incomplete: once a session, whatever "
        "comes of it. Once what the source gave is stored, the summary is made again."
    ),
)
def request_repairs(influxdb: InfluxDBResource, postgres: PostgresResource) -> dg.SensorResult:
    """The table `session_repair` is its memory: it holds across restarts."""
    going_on = read_repairs(postgres.engine, unfinished=True)
    done = finished(code_location(), influxdb, list(going_on.values()), now())
    write_repairs(postgres.engine, done)
    mended = {repair.key for repair in done}
    unasked = [repair for repair in going_on.values() if repair.asked_at is None and repair.key not in mended]
    if not unasked:
        told = f"{len(done)} are repaired, {len(going_on) - len(done)} are not stored yet" if going_on else ""
        return dg.SensorResult(skip_reason=told or "no session is to be repaired")
    newest = max(repair.requested_at for repair in unasked)
    # A run that has failed is not asked for again: its key is that of the newest request.
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"repair of {newest.isoformat()}",
                tags={"stocks/reason": f"{len(unasked)} sessions lack bars"},
            )
        ]
    )
