"""Starts one program so that it can't outlive its parent: `python child_launcher.py SPEC`, SPEC being JSON or its file.

It imports the standard library alone and little of that, since every service waits for it. Keys of SPEC:

- command, environment (all of it), directory
- parent: the pid that starts this; another parent means that it was killed before this had begun
- signal: what the program gets when the parent dies (Linux; elsewhere the orderly stop has to do)
- user: run as this user, from root; null for no change
- may_read_all: that user may enter and read every folder (CAP_DAC_READ_SEARCH), for a state folder under /root
- group_seconds: null to become the program itself; a number to stay above it and to end, when the program is gone or
  the parent is, everything that the program has started: by `signal`, and after that many seconds by SIGKILL
- lock: with group_seconds, a file that is locked as long as any of this runs; null for none. It records the program's
  process group, so that the next launcher can end what is left of a group whose launcher and keeper were both killed

With group_seconds there are two processes above the program: the launcher, which the parent knows, and the keeper, its
child. Each outlives a SIGKILL of the other and then ends the program and all that it has started.
"""

import ctypes
import fcntl
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_CHILD_SUBREAPER, _PR_CAP_AMBIENT = 1, 8, 36, 47  # linux/prctl.h
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAP_VERSION_3 = 0x20080522
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int, more: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, more, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


def _change_user(user: str, may_read_all: bool) -> None:
    entry = pwd.getpwnam(user)
    if may_read_all:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if may_read_all:
        mask = 1 << _CAP_DAC_READ_SEARCH
        header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
        data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.capset(header, data) != 0:
            raise OSError(ctypes.get_errno(), "capset(CAP_DAC_READ_SEARCH) was refused")
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH)


def _end_with_parent(parent: int, with_signal: int) -> None:
    if not _LINUX:
        return
    _prctl(_PR_SET_PDEATHSIG, with_signal)
    if os.getppid() != parent:  # it ended before the request
        os.kill(os.getpid(), with_signal)


def _wait_for_all(seconds: float) -> bool:
    """Wait until no child is left; False when the time is over first."""
    end = time.monotonic() + seconds
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.05)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_all(group: int, number: int) -> None:
    """Signal the group but for this process, and those children of this process that have left the group."""
    for pid in _children():
        try:
            outside = os.getpgid(pid) != group
        except ProcessLookupError:
            continue
        if outside:
            _signal(pid, number)
    before = signal.signal(number, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.killpg(group, number)
    signal.signal(number, before)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _end_all(group: int, stop_signal: int, seconds: float) -> None:
    if _wait_for_all(0):
        return
    _signal_all(group, stop_signal)
    if _wait_for_all(seconds):
        return
    # The children of a killed process become children of this one, and are killed in the next round.
    while _children() and not _wait_for_all(0):
        for pid in _children():
            _signal(pid, signal.SIGKILL)
        _wait_for_all(0.1)


def _on_stop_signals(handler: Callable[..., None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _keep(command: list[str], environment: dict[str, str], launcher: int, stop_signal: int, seconds: float) -> int:
    """Run the program in its own process group until it ends, or until a signal or the launcher's end stops it."""
    keeper = os.getpid()

    def end(*_: object) -> None:
        _on_stop_signals(signal.SIG_IGN)  # once is enough
        _end_all(keeper, stop_signal, seconds)
        os._exit(128 + stop_signal)

    _on_stop_signals(end)
    program = subprocess.Popen(command, env=environment, preexec_fn=lambda: _end_with_parent(keeper, stop_signal))
    _end_with_parent(launcher, signal.SIGTERM)
    code = _wait_for(program.pid)
    _on_stop_signals(signal.SIG_IGN)
    _end_all(keeper, stop_signal, seconds)
    return code if code >= 0 else 128 - code


def _wait_for(program: int) -> int:
    """Wait for the program, and for whatever it has orphaned that ends earlier; return its exit code."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            return os.waitstatus_to_exitcode(status)


def _run_group(spec: dict[str, Any], stop_signal: int) -> int:
    """Start the keeper with the program, and return the program's exit code once all of its processes have ended."""
    launcher, parent, seconds = os.getpid(), spec["parent"], spec["group_seconds"]
    _end_with_parent(parent, signal.SIGTERM)
    record = _locked(spec["lock"]) if spec["lock"] else None
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans of the program become children of the keeper, or of this
    keeper = os.fork()
    if keeper == 0:
        code = 126
        try:
            os.setpgid(0, 0)
            if _LINUX:
                _prctl(_PR_SET_CHILD_SUBREAPER, 1)
            if record is not None:
                _write_record(record)
            code = _keep(spec["command"], spec["environment"], launcher, stop_signal, seconds)
        except OSError as error:
            print(f"could not start: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    _on_stop_signals(lambda *_: _signal(keeper, signal.SIGTERM))
    code = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    _on_stop_signals(signal.SIG_IGN)
    _end_all(keeper, stop_signal, seconds)  # only where the keeper was killed
    return code if code >= 0 else 128 - code


def _locked(path: str) -> int:
    """Lock the file once no former launcher or keeper holds it, and end what is left of the former group."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        record = json.loads(os.pread(file, 4096, 0))
    except ValueError:  # a new file, or one that was not written to its end
        return file
    while left := _remaining_processes(record):
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.05)
    return file


def _write_record(file: int) -> None:
    """Record the group of this process, which leads it, in a way that no later process can be taken for it."""
    record = {"group": os.getpid(), "boot": _boot_id()}
    if found := _process(os.getpid()):
        record |= {"session": found["session"], "started": found["started"]}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(record).encode(), 0)


def _remaining_processes(record: dict[str, Any]) -> list[int]:
    """The processes that still belong to a recorded group."""
    if "started" not in record or record["boot"] != _boot_id():
        return []
    found = (_process(int(name)) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208
    return [one["pid"] for one in found if one and _is_in_group(one, record)]


def _is_in_group(process: dict[str, int], record: dict[str, Any]) -> bool:
    same = process["group"] == record["group"] and process["session"] == record["session"]
    return same and process["started"] >= record["started"] and not process["is_zombie"]


def _process(pid: int) -> dict[str, int] | None:
    """Group, session and start (in ticks since the boot) of a process; None where it has ended, or without /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return {"pid": pid, "is_zombie": fields[0] == b"Z", "group": int(fields[2]), "session": int(fields[3]),
            "started": int(fields[19])}  # fmt: skip


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def main(argument: str) -> int:
    """Become the program of the SPEC, or its parent and return its exit code."""
    if not argument.startswith("{"):
        with open(argument, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
            argument = file.read()
    spec = json.loads(argument)
    # A background job of a shell without job control hands down an ignored SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(spec["directory"])
    if spec["user"]:
        _change_user(spec["user"], spec["may_read_all"])
    stop_signal = signal.Signals(spec["signal"])
    if spec["group_seconds"] is None:
        _end_with_parent(spec["parent"], stop_signal)  # after the change of user, which clears it
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])  # noqa: S606 - this process becomes the program
    return _run_group(spec, stop_signal)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except OSError as error:
        print(f"could not start: {error}", file=sys.stderr)
        sys.exit(126)
