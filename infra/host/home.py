"""The folder of all state: whether this version may use it, and which entries in it are the stack's."""

import os
from pathlib import Path

from infra.host.private_files import write_private

LAYOUT = "1"  # raise it with a change that an older `stocks up` would take for damage
LONGEST = 470  # bytes: SQLite, which InfluxDB uses, opens paths of up to 512, and the names below need their part

MARKER = ".stocks-home"  # only a folder with this file is ever deleted from
_MARKER_TEXT = (
    "This folder belongs to stocks, a market-data platform. `stocks reset` deletes what the stack wrote here.\n"
)

# All that the stack has ever written there; the folder of the lock and the marker come last.
_OWN = (
    "kafka", "influxdb", "postgres", ".postgres-*", "state", "dagster", "grafana", "pictures", "secrets", "logs",
    "stack.env", "version", "run", MARKER,
)  # fmt: skip


def layout_problem(home: Path) -> str | None:
    """Return why this version can't use `home`; None if it can."""
    try:
        found = (home / "version").read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:  # a new one
        return None
    if found == LAYOUT:
        return None
    by = "a newer version of stocks" if found.isdecimal() and int(found) > int(LAYOUT) else "something unknown"
    return f"{home} was written by {by}: its layout is {found[:20]!r}, and this version knows {LAYOUT}"


def is_marked(home: Path) -> bool:
    """Return whether the folder has the marker, without which nothing in it is deleted."""
    return (home / MARKER).is_file()


def ownership_problem(home: Path) -> str | None:
    """Return why the stack must not write into `home`; None if it may.

    The reason is an entry with a name that the stack uses, made by someone else.

    A home that an older version made without a marker is recognised by its layout and by files that only the stack
    writes.
    """
    entries = stack_entries(home)
    if not entries or is_marked(home) or _is_unmarked_home(home):
        return None
    names = ", ".join(entry.name for entry in entries)
    return f"{home} is not a home of the stack, and holds {names}, which the stack would use and `stocks reset` delete"


def _is_unmarked_home(home: Path) -> bool:
    """Whether a version that wrote no marker made this home: its layout, and a file that only the stack writes."""
    has_layout = _start_of(home / "version").strip() == LAYOUT
    signs = (
        "STOCK_PRICE_KAFKA_TOPIC=" in _start_of(home / "stack.env"),
        "supervisor.rpcinterface" in _start_of(home / "run" / "supervisord.conf"),
        _start_of(home / "run" / "lock").isdecimal(),  # a first start that failed has written no more
        (home / "secrets" / "postgres_superuser_password").is_file(),
    )
    return has_layout and any(signs)


def _start_of(file: Path) -> str:
    """The first 4096 characters; empty where there is no such file."""
    try:
        with file.open(encoding="utf-8", errors="replace") as text:
            return text.read(4096)
    except OSError:
        return ""


def claim(home: Path) -> None:
    """Write the marker and the layout into a home that this version may use."""
    home.mkdir(parents=True, exist_ok=True)
    for name, text in ((MARKER, _MARKER_TEXT), ("version", f"{LAYOUT}\n")):
        if not (home / name).exists():
            write_private(home / name, text)


def length_problem(home: Path) -> str | None:
    """Return why the path of `home` is too long; None if it is not."""
    length = len(os.fsencode(home))
    return f"its path has {length} bytes, and no more than {LONGEST} are possible" if length > LONGEST else None


def stack_entries(home: Path) -> list[Path]:
    """Return the stack's own entries in `home`, in the order in which they must be deleted."""
    return [path for pattern in _OWN for path in sorted(home.glob(pattern))] if home.is_dir() else []


def size_of(path: Path) -> int:
    """Return the size in bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())
