"""Messages and what is to become of them, shared by the rules' own tests and those of the whole stream."""

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
QUOTE: dict[str, Any] = {
    "symbol": "AMZN",
    "timestamp": "2024-11-20T14:30:00.123Z",
    "price": 217.1,
    "bid": 217.05,
    "ask": 217.15,
    "last_size": 100,
    "day_volume": 48210,
    "change_percent": -0.42,
    "market_phase": "regular",
}


@dataclass(frozen=True)
class Case:
    name: str
    key: bytes | None
    value: bytes | None
    reason: str | None  # None where the message is valid


def validity_cases() -> list[Case]:
    """The cases of validity.json. Each has the difference of its message from BAR:

    `set` and `drop` change fields, `edit` replaces a piece of the JSON text (a third element is how often REPEAT's next
    character is repeated), `wrap` and `pad` add around it, `value` or `hex` is the whole value; `key` is the
    symbol unless given.
    """
    return _cases("validity.json", BAR)


def quote_cases() -> list[Case]:
    """The cases of quotes.json, each with the difference of its message from QUOTE."""
    return _cases("quotes.json", QUOTE)


def _cases(file: str, plain: dict[str, Any]) -> list[Case]:
    stories = json.loads(Path(__file__).with_name(file).read_text())
    return [Case(story["name"], _key(story, plain), _value(story, plain), story["reason"]) for story in stories]


def _key(story: dict[str, Any], plain: dict[str, Any]) -> bytes | None:
    key = story.get("key", story.get("set", {}).get("symbol", plain["symbol"]))
    return key.encode() if isinstance(key, str) else None


def _value(story: dict[str, Any], plain: dict[str, Any]) -> bytes | None:
    if "hex" in story:
        return bytes.fromhex(story["hex"])
    if "value" in story:
        return None if story["value"] is None else story["value"].encode() * story.get("times", 1)
    dropped = story.get("drop", ())
    changed = (plain | story.get("set", {})).items()
    text = json.dumps({name: value for name, value in changed if name not in dropped}, ensure_ascii=False)
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
