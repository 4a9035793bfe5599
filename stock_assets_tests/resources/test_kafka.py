"""What Dagster reads of topics, on the real Kafka."""

import pytest
from kafka import KafkaProducer

from infra.settings import StackSettings
from spark_streaming.contract.schema import SourceNames
from stock_assets.resources.kafka import KafkaResource

pytestmark = pytest.mark.services


def test_a_topic_that_ends_in_the_mark_of_a_transaction_is_read_to_its_end(
    kafka_server: StackSettings, fresh_topic: SourceNames
) -> None:
    producer = KafkaProducer(
        bootstrap_servers=kafka_server.kafka_address, transactional_id=fresh_topic.topic, enable_idempotence=True
    )
    producer.init_transactions()
    producer.begin_transaction()
    for number in range(3):
        producer.send(fresh_topic.topic, key=b"A", value=b"%d" % number, partition=1)
    producer.commit_transaction()
    producer.close()
    kafka = KafkaResource(bootstrap_servers=kafka_server.kafka_address)
    assert kafka.end_offsets(fresh_topic.topic)[1] == 4, "the mark has its own offset"
    assert [message.value for message in kafka.messages(fresh_topic.topic)] == [b"0", b"1", b"2"]
