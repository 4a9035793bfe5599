"""The folder of all state: whether this version may use it, and what in it is the stack's."""

import os
from pathlib import Path

from infra.host.private_files import write_private

LAYOUT = "1"  # raise it with a change that an older `stocks up` would take for damage
LONGEST = 470  # bytes: SQLite, which InfluxDB uses, opens paths of up to 512, and the names below need their part

# All that the stack has ever written there, the lock's folder last. What else lies in the folder is not ours.
_OWN = (
    "kafka", "influxdb", "postgres", ".postgres-*", "state", "dagster", "grafana", "pictures", "secrets", "logs",
    "stack.env", "version", "run",
)  # fmt: skip


def layout_problem(home: Path) -> str | None:
    """What keeps this version from using `home`; None where it may."""
    try:
        found = (home / "version").read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:  # a new one
        return None
    if found == LAYOUT:
        return None
    by = "a newer version of stocks" if found.isdecimal() and int(found) > int(LAYOUT) else "something unknown"
    return f"{home} was written by {by}: its layout is {found[:20]!r}, and this version knows {LAYOUT}"


def claim(home: Path) -> None:
    """Write the layout into a home that this version may use."""
    if not (home / "version").exists():
        write_private(home / "version", f"{LAYOUT}\n")


def length_problem(home: Path) -> str | None:
    """What is wrong with the length of its path; None where nothing is."""
    length = len(os.fsencode(home))
    return f"its path has {length} bytes, and no more than {LONGEST} are possible" if length > LONGEST else None


def belongings(home: Path) -> list[Path]:
    """What is the stack's own in `home`, in the order in which it is to be deleted."""
    return [path for pattern in _OWN for path in sorted(home.glob(pattern))]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())
