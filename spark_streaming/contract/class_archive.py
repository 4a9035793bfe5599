"""An archive of the classes that a Java program loads while it starts: with it a start takes half the CPU time.

Java checks that an archive fits: with another Java, or other jars, it starts without one.
"""

from pathlib import Path

_ARCHIVE, _SIZE = "classes.jsa", "size"
# An archive that does not fit is no news for whoever reads the program's log.
_QUIET = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")


def archive_options(folder: Path | None) -> tuple[str, ...]:
    """Return Java's options to use the archive in `folder`; none where no complete one is there.

    Java dies of an archive that is cut off; other damage it finds by a checksum, and starts without the archive.
    """
    if folder is None:
        return ()
    try:
        is_complete = (folder / _ARCHIVE).stat().st_size == int((folder / _SIZE).read_text())
    except (OSError, ValueError):
        return ()
    if not is_complete:
        return ()
    return (f"-XX:SharedArchiveFile={folder / _ARCHIVE}", "-XX:+VerifySharedSpaces", *_QUIET)


def making_options(folder: Path) -> tuple[str, ...]:
    """Return the options with which Java writes an archive into `folder` as it exits."""
    return (f"-XX:ArchiveClassesAtExit={folder / _ARCHIVE}", *_QUIET)


def mark_complete(folder: Path) -> None:
    """Record the size of the archive that a Java has written into `folder`.

    Raises:
        FileNotFoundError: it has written none.
    """
    (folder / _SIZE).write_text(str((folder / _ARCHIVE).stat().st_size))
