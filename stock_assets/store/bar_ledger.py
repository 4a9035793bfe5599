"""The file that carries the accounting of bars from one evaluation to the next.

It has a row for each bar that was ever published, with the newest values of those that are not known to be stored yet.
So an evaluation reads only what is new in the topic, and its memory does not grow with the topic. The file can be
deleted at any time: the next evaluation reads the whole topic again.
"""

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from stock_assets.pipeline.accounting import Account, PublishedBar, UnreadableMessage, UnstoredBar, Values, read_message
from stock_assets.pipeline.kafka_records import KafkaRecord, is_settlement, origin_of, symbol_of

_BATCH = 5_000  # messages, or rows, that are held at once
_WAIT_SECONDS = 600  # while another evaluation is under way
_EARLIER = -1  # the offset of a bar whose newest message was dead-lettered: an earlier one counts, with values unknown

_TABLES = {
    "identity": "(value TEXT NOT NULL)",
    "position": "(topic TEXT, partition INTEGER, next INTEGER, PRIMARY KEY (topic, partition))",
    "series": "(id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, interval TEXT NOT NULL, UNIQUE (symbol, interval))",
    "bar": (
        "(series INTEGER, start INTEGER, partition INTEGER, offset INTEGER, messages INTEGER, is_open INTEGER, "
        "newest BLOB, PRIMARY KEY (series, start)) WITHOUT ROWID"
    ),
    "unreadable": "(partition INTEGER, offset INTEGER, symbol TEXT, PRIMARY KEY (partition, offset)) WITHOUT ROWID",
    "dead_letter": "(partition INTEGER, offset INTEGER, symbol TEXT, PRIMARY KEY (partition, offset)) WITHOUT ROWID",
}
_PUBLISH = """
INSERT INTO bar VALUES (?, ?, ?, ?, 1, 1, ?) ON CONFLICT DO UPDATE SET
    partition = excluded.partition, offset = excluded.offset, messages = messages + 1, is_open = 1,
    newest = excluded.newest
"""


class BarLedger:
    """One evaluation's transaction on the file: as a context manager, all of it is kept, or nothing on an exception."""

    def __init__(self, path: Path | None, identity: str) -> None:
        """Open the file, or a ledger in memory where `path` is None; clear it if it is about something else."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", timeout=_WAIT_SECONDS, isolation_level=None)
        self._db.execute("PRAGMA cache_size = -16384")  # KiB: what the memory of an evaluation is bounded by
        self._db.execute("BEGIN IMMEDIATE")
        for table, columns in _TABLES.items():
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} {columns}")
        self._db.execute("CREATE INDEX IF NOT EXISTS open_bar ON bar (series, start) WHERE is_open")
        self._identity = identity
        if self._db.execute("SELECT value FROM identity").fetchall() != [(identity,)]:
            self.clear()
        series = self._db.execute("SELECT symbol, interval, id FROM series").fetchall()
        self._series: dict[tuple[str, str], int] = {(symbol, interval): of for symbol, interval, of in series}

    def __enter__(self) -> Self:
        """The ledger itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Commit, or roll back on an exception, and close."""
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        self._db.close()

    def clear(self) -> None:
        """Delete all rows, and note what the ledger is about."""
        for table in _TABLES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        self._db.execute("INSERT INTO identity VALUES (?)", (self._identity,))
        self._series = {}

    def positions(self, topic: str) -> dict[int, int]:
        """Return partition -> the offset up to which the topic has been read."""
        query = "SELECT partition, next FROM position WHERE topic = ?"
        return dict(self._db.execute(query, (topic,)).fetchall())

    def set_positions(self, topic: str, ends: Mapping[int, int]) -> None:
        """Remember that the topic has been read up to `ends`; an offset that lies further ahead stays."""
        self._db.executemany(
            "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
            [(topic, partition, end) for partition, end in ends.items()],
        )

    def add_dead_letters(self, records: Iterable[KafkaRecord], read: Mapping[int, int]) -> dict[int, int]:
        """Enter records of the dead-letter topic; returns partition -> the next offset.

        A dead letter that was written twice counts once. `read` says how far the topic of the bars has been read.
        """
        ends: dict[int, int] = {}
        for record in records:
            ends[record.partition] = record.offset + 1
            if is_settlement(record):
                continue
            at = origin_of(record)
            entered = self._db.execute("INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?)", (*at, symbol_of(record)))
            if entered.rowcount and at[1] < read.get(at[0], 0):
                self._take_back(record, at)
        return ends

    def _take_back(self, record: KafkaRecord, at: tuple[int, int]) -> None:
        """The message was entered as a bar before it was dead-lettered."""
        if self._db.execute("DELETE FROM unreadable WHERE partition = ? AND offset = ?", at).rowcount:
            return
        message = read_message(record)
        if isinstance(message, UnreadableMessage):
            return
        key = (self._series_of(message.symbol, message.interval), int(message.start.timestamp()))
        self._db.execute("UPDATE bar SET messages = messages - 1 WHERE series = ? AND start = ?", key)
        self._db.execute(
            "UPDATE bar SET newest = NULL, is_open = 1, offset = ? "
            "WHERE series = ? AND start = ? AND partition = ? AND offset = ?",
            (_EARLIER, *key, *at),
        )
        self._db.execute("DELETE FROM bar WHERE series = ? AND start = ? AND messages <= 0", key)

    def add_messages(self, records: Iterable[KafkaRecord]) -> dict[int, int]:
        """Enter messages of the topic, each partition in the order of offsets; returns partition -> the next offset.

        The dead letters have to be known by then: what is one of them is no bar.
        """
        ends: dict[int, int] = {}
        remaining = iter(records)
        while batch := list(islice(remaining, _BATCH)):
            ends.update({record.partition: record.offset + 1 for record in batch})
            self._add(batch)
        return ends

    def _add(self, batch: Sequence[KafkaRecord]) -> None:
        dead = self._dead_letters_among(batch)
        messages = [read_message(record) for record in batch if (record.partition, record.offset) not in dead]
        bars = [message for message in messages if isinstance(message, PublishedBar)]
        self._db.executemany(_PUBLISH, [self._row(bar) for bar in bars])
        self._db.executemany(
            "INSERT OR IGNORE INTO unreadable VALUES (?, ?, ?)",
            [(m.partition, m.offset, m.symbol) for m in messages if isinstance(m, UnreadableMessage)],
        )

    def _row(self, bar: PublishedBar) -> tuple[int, int, int, int, bytes]:
        values = bar.values or ()
        series = self._series_of(bar.symbol, bar.interval)
        return series, int(bar.start.timestamp()), bar.partition, bar.offset, struct.pack(f"{len(values)}d", *values)

    def _series_of(self, symbol: str, interval: str) -> int:
        if (symbol, interval) not in self._series:
            added = self._db.execute("INSERT INTO series (symbol, interval) VALUES (?, ?)", (symbol, interval))
            self._series[symbol, interval] = int(added.lastrowid or 0)
        return self._series[symbol, interval]

    def _dead_letters_among(self, batch: Sequence[KafkaRecord]) -> set[tuple[int, int]]:
        offsets: dict[int, list[int]] = {}
        for record in batch:
            offsets.setdefault(record.partition, []).append(record.offset)
        query = "SELECT partition, offset FROM dead_letter WHERE partition = ? AND offset BETWEEN ? AND ?"
        return {row for p, of in offsets.items() for row in self._db.execute(query, (p, min(of), max(of)))}

    def open_bars(self, done: Mapping[int, int]) -> Iterator[PublishedBar]:
        """Yield the bars that the stream has processed and that are not known to be stored, by series and time.

        `done` is partition -> the offset that the stream does next. Rows may be closed meanwhile.
        """
        for (symbol, interval), series in sorted(self._series.items()):
            after = -(2**62)
            while rows := self._open_rows(series, after):
                for start, partition, offset, newest in rows:
                    if offset < done.get(partition, 0):
                        at = datetime.fromtimestamp(start, UTC)
                        yield PublishedBar(symbol, interval, at, partition, offset, _unpack(newest))
                after = rows[-1][0]

    def _open_rows(self, series: int, after: int) -> list[tuple[int, int, int, bytes | None]]:
        query = (
            "SELECT start, partition, offset, newest FROM bar "
            "WHERE is_open AND series = ? AND start > ? ORDER BY start LIMIT ?"
        )
        return self._db.execute(query, (series, after, _BATCH)).fetchall()

    def close_bars(self, bars: Iterable[PublishedBar]) -> None:
        """Remember that these bars are stored as their newest message says."""
        rows = [(self._series_of(bar.symbol, bar.interval), int(bar.start.timestamp())) for bar in bars]
        self._db.executemany("UPDATE bar SET is_open = 0, newest = NULL WHERE series = ? AND start = ?", rows)

    def shortfall(self, stored: Mapping[str, tuple[int, datetime, datetime]]) -> int:
        """Return how many bars that were found stored have no point any more, by each symbol's number of points."""
        waiting = dict(
            self._db.execute(
                "SELECT symbol, count(*) FROM bar JOIN series ON id = series WHERE is_open GROUP BY symbol"
            ).fetchall()
        )
        unreadable = self._unreadable_by_symbol()
        return sum(
            max(row.missing - waiting.get(row.symbol, 0) - unreadable.get(row.symbol, 0), 0)
            for row in self.accounts(stored)
        )

    def _unreadable_by_symbol(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT symbol, count(*) FROM unreadable GROUP BY symbol").fetchall())

    def reopen_all_bars(self) -> None:
        """Have all bars compared again; the values of those that were found stored are not known any more."""
        self._db.execute("UPDATE bar SET is_open = 1")

    def unreadable(self, done: Mapping[int, int]) -> Iterator[UnstoredBar]:
        """Yield the messages that the stream has processed, that name no bar and were not dead-lettered."""
        for partition, offset, symbol in self._db.execute("SELECT * FROM unreadable ORDER BY partition, offset"):
            if offset < done.get(partition, 0):
                yield UnstoredBar(symbol, "", None, partition, offset, "not dead-lettered")

    def accounts(self, stored: Mapping[str, tuple[int, datetime, datetime]]) -> list[Account]:
        """Return an account for each symbol; `stored` is symbol -> points, start of oldest and of newest bar."""
        bars = {
            symbol: (bars, messages)
            for symbol, bars, messages in self._db.execute(
                "SELECT symbol, count(*), sum(messages) FROM bar JOIN series ON id = series GROUP BY symbol"
            )
        }
        unreadable = self._unreadable_by_symbol()
        dead = dict(self._db.execute("SELECT symbol, count(*) FROM dead_letter GROUP BY symbol").fetchall())
        rows = []
        for symbol in sorted(bars.keys() | unreadable.keys() | dead.keys() | stored.keys()):
            points, oldest, newest = stored.get(symbol, (0, None, None))
            distinct, messages = bars.get(symbol, (0, 0))
            published = distinct + unreadable.get(symbol, 0) + dead.get(symbol, 0)
            rows.append(Account(symbol, published, messages - distinct, points, dead.get(symbol, 0), oldest, newest))
        return rows


def _unpack(values: bytes | None) -> Values | None:
    return None if values is None else struct.unpack(f"{len(values) // 8}d", values)
