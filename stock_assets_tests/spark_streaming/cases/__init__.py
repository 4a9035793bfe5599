"""Messages and what is to become of them, shared by Python's and the JVM's verdicts."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SENT = datetime(2024, 11, 20, 14, 31, tzinfo=UTC)  # when every message was sent
BAR: dict[str, Any] = {
    "symbol": "AMZN",
    "timestamp": "2024-11-20T14:30:00Z",
    "interval": "1m",
    "open": 217.1,
    "high": 217.4,
    "low": 216.9,
    "close": 217.2,
    "volume": 48210,
}


@dataclass(frozen=True)
class Case:
    name: str
    key: bytes | None
    value: bytes | None
    reason: str | None  # None where the message is valid


def validity_cases() -> list[Case]:
    """The cases of validity.json. Each tells how its message differs from BAR:

    `set` and `drop` change fields, `edit` replaces a piece of the JSON text (a third element is how often REPEAT's next
    character is repeated), `wrap` and `pad` add around it, `value` or `hex` is the whole value; `key` is the
    symbol unless given.
    """
    stories = json.loads(Path(__file__).with_name("validity.json").read_text())
    return [Case(story["name"], _key(story), _value(story), story["reason"]) for story in stories]


def _key(story: dict[str, Any]) -> bytes | None:
    key = story.get("key", story.get("set", {}).get("symbol", BAR["symbol"]))
    return key.encode() if isinstance(key, str) else None


def _value(story: dict[str, Any]) -> bytes | None:
    if "hex" in story:
        return bytes.fromhex(story["hex"])
    if "value" in story:
        return None if story["value"] is None else story["value"].encode() * story.get("times", 1)
    bar = {name: value for name, value in (BAR | story.get("set", {})).items() if name != story.get("drop")}
    text = json.dumps(bar, ensure_ascii=False)
    if "edit" in story:
        piece, replacement, *times = story["edit"]
        assert text.count(piece) == 1, story
        text = text.replace(piece, _repeated(replacement, *times))
    before, after = story.get("wrap", ("", ""))
    value = f"{before}{text}{after}".encode()
    return value.ljust(story.get("pad", 0))


def _repeated(text: str, times: int = 1) -> str:
    before, mark, after = text.partition("REPEAT")
    return before + after[:1] * times + after[1:] if mark else text
