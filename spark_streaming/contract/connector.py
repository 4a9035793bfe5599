"""Spark's Kafka connector: its jars, and their place on the class path of a driver."""

from pathlib import Path

# The connector's other dependencies come with pyspark.
_JARS = ("spark-sql-kafka-", "spark-token-provider-kafka-", "kafka-clients-", "commons-pool2-")


class MissingJarsError(RuntimeError):
    """The folder of SPARK_JARS lacks a part of Spark's Kafka connector."""


def class_path(folder: Path) -> list[str]:
    """Return the connector's jars in `folder`, in the order in which each driver has them.

    A class archive fits a class path that begins like its own. They are on the class path rather than in `spark.jars`,
    which would copy each of them first.

    Raises:
        MissingJarsError: one is missing.
    """
    found = [jar for start in _JARS for jar in sorted(folder.glob(f"{start}*.jar"))]
    if len(found) != len(_JARS):
        raise MissingJarsError(
            f"{folder} holds {[jar.name for jar in found]} of Spark's Kafka connector, which is one jar of each of "
            f"{', '.join(_JARS)}: put org.apache.spark:spark-sql-kafka-0-10_2.13 and its dependencies there."
        )
    return [str(jar) for jar in found]
