"""Options of Java that several of the platform's programs share."""

from collections.abc import Iterable

# Java's second compiler begins at ten times its default thresholds: compiling all that is warm in a start costs more
# than it saves in the first minutes.
LATE_COMPILER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)


def java_options(options: Iterable[str]) -> str:
    """Return the options in the form that Spark's launcher splits again: a path may have spaces."""
    return " ".join(f'"{option}"' if " " in option else option for option in options)
