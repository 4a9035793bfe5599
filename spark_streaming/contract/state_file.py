"""Small JSON files in which programs keep their state: written in one step, and read whatever is in them.

A file that can't be understood must not stop its reader for ever: it is logged, set aside, and treated as absent, so
that its owner makes a new one.
"""

import json
import logging
import math
import os
import tempfile
import types
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

log = logging.getLogger(__name__)

T = TypeVar("T")

UNREADABLE = ".unreadable"  # added to the name of a file that was set aside


class UnreadableStateError(ValueError):
    """A value doesn't have the type that it should have."""


def write_state(path: Path, text: str) -> None:
    """Replace the file `path` in one step: a reader never sees half of it."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def read_state(path: Path, kind: type[T], check: Callable[[T], None] = lambda _: None) -> T | None:
    """Return the dataclass `kind` in the JSON file `path`; None if there is no file or it can't be parsed.

    `check` may refuse the value with UnreadableStateError. A file that can't be understood is renamed: its name gets
    `.unreadable`.

    Raises:
        OSError: the file is there and can't be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:  # stays open until the end: no other file gets its inode meanwhile
        found = parse_state(file.read(), kind, path, check)
        if found is None:
            _set_aside(path, os.fstat(file.fileno()).st_ino)
    return found


def parse_state(content: bytes, kind: type[T], path: Path, check: Callable[[T], None] = lambda _: None) -> T | None:
    """Return the dataclass `kind` in the content of `path`; None, with a warning, if it can't be parsed."""
    try:
        found: T = from_json(kind, json.loads(content))
        check(found)
    except (ValueError, OverflowError, RecursionError) as error:  # JSON's own errors are ValueErrors
        log.warning("%s can't be understood (%s), and is treated as absent: %.200r", path, error, content)
        return None
    return found


def from_json(kind: Any, value: Any) -> Any:  # noqa: ANN401 - any type of a state file's fields
    """Return the value of type `kind` that the JSON `value` represents. Unknown fields of an object are ignored.

    `kind` is a dataclass or one of the types that its fields have: str, int, float, bool, an aware datetime, an enum of
    text, a dict, a tuple of any length, one of these or None.

    Raises:
        UnreadableStateError: `value` has another shape or type.
    """
    if is_dataclass(kind):
        return _dataclass_from_json(kind, value)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else from_json(inner, value)
    if origin is dict and isinstance(value, dict):
        return {_key_from_json(arguments[0], key): from_json(arguments[1], item) for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(from_json(arguments[0], item) for item in value)
    if kind is datetime and isinstance(value, str):
        return _time_from_json(value)
    if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(value, str):
        return kind(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise UnreadableStateError(f"{value!r:.80} is no {getattr(kind, '__name__', kind)}")


def _dataclass_from_json(kind: Any, value: Any) -> Any:  # noqa: ANN401 - see from_json
    if not isinstance(value, dict):
        raise UnreadableStateError(f"{value!r:.80} is no JSON object")
    types_of_fields = get_type_hints(kind)
    given = {f.name: from_json(types_of_fields[f.name], value[f.name]) for f in fields(kind) if f.name in value}
    try:
        return kind(**given)
    except TypeError as error:  # a field without a default is missing
        raise UnreadableStateError(str(error)) from None


def _key_from_json(kind: Any, key: str) -> Any:  # noqa: ANN401 - see from_json
    """A key of a dict: JSON has text only."""
    return int(key) if kind is int else from_json(kind, key)


def _time_from_json(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise UnreadableStateError(f"{text} has no time zone")
    return time


def _set_aside(path: Path, inode: int) -> None:
    """Rename the file that has `inode`; one that has replaced it meanwhile stays where it is."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            moved = Path(folder) / path.name
            path.rename(moved)
            if moved.stat().st_ino == inode:
                moved.replace(path.with_name(path.name + UNREADABLE))
            else:  # the owner has written a new one between our reading and our renaming
                with suppress(FileExistsError):  # and yet another one since: the newest counts
                    os.link(moved, path)
    except FileNotFoundError:
        return  # another reader was first
    except OSError as error:
        log.warning("%s can't be renamed: %s", path, error)
