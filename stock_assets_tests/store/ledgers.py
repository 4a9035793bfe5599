"""Accounts of a few messages, by a ledger in memory."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from stock_assets.pipeline.accounting import Account
from stock_assets.pipeline.kafka_records import KafkaRecord
from stock_assets.store.bar_ledger import BarLedger


def accounts(
    messages: Iterable[KafkaRecord],
    dead_letters: Iterable[KafkaRecord],
    stored: Mapping[str, tuple[int, datetime, datetime]],
) -> list[Account]:
    with BarLedger(None, "test") as ledger:
        ledger.add_dead_letters(dead_letters, {})
        ledger.add_messages(messages)
        return ledger.accounts(stored)
