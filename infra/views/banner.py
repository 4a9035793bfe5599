"""The line that names the source of the prices that are shown."""

from spark_streaming.contract.schema import Source


def source_line(source: str) -> str:
    """Return a sentence that names the source, and warns where the prices are not live."""
    return {
        Source.YAHOO: "Source: yahoo.",
        Source.REPLAY: "Source: replay. These are recorded prices, NOT live Yahoo data.",
        Source.SIMULATED: "Source: simulated. These are random prices, NOT live Yahoo data.",
    }[Source(source)]
