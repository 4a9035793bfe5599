"""Files and folders that only their owner can read."""

import os
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Create `folder`, which only its owner can enter, if it does not exist; return its path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file that only its owner can read.

    Raises:
        OSError: the file can't be written; `path` is unchanged.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
