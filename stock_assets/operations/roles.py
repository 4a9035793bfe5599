"""The jobs and the state folders of the long-lived programs."""

from stock_assets.pipeline.desired_state import Role

JOB_OF = {Role.PRODUCER: "publish_prices", Role.STREAM: "stream_prices"}
PROGRAM_OF = {Role.PRODUCER: "ingest", Role.STREAM: "stream"}  # the program's state folder
