"""The line that says whose prices are shown."""

from spark_streaming.contract.schema import Source


def source_line(source: str) -> str:
    """What is plainly to be said about prices that are not Yahoo's."""
    return {
        Source.YAHOO: "Source: yahoo.",
        Source.REPLAY: "Source: replay. These are recorded prices, NOT live Yahoo data.",
        Source.SIMULATED: "Source: simulated. These are random prices, NOT live Yahoo data.",
    }[Source(source)]
