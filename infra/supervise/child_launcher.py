"""Starts one program so that it can't outlive its parent: `python guard.py SPEC`, SPEC being JSON or a file of it.

It imports the standard library alone and little of that, since every service waits for it. Keys of SPEC:

- command, environment (all of it), directory
- parent: the pid that starts this; another parent means that it was killed before this had begun
- signal: what the program gets when the parent dies (Linux; elsewhere the orderly stop has to do)
- user: run as this user, from root; null for no change
- may_read_all: that user may enter and read every folder (CAP_DAC_READ_SEARCH), for a state folder under /root
- group_seconds: null to become the program itself; a number to stay as its parent and to end, when the program is
  gone or the parent is, everything that the program has started: politely for that many seconds, then by SIGKILL
"""

import ctypes
import json
import os
import pwd
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_CHILD_SUBREAPER, _PR_CAP_AMBIENT = 1, 8, 36, 47  # linux/prctl.h
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAP_VERSION_3 = 0x20080522
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int, more: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, more, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


def _become(user: str, may_read_all: bool) -> None:
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
    if os.getppid() != parent:  # it went before we asked
        os.kill(os.getpid(), with_signal)


def _wait_for_all(seconds: float) -> bool:
    """Wait until nothing that was started is left; False when the time is over first."""
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


def _signal_all(number: int) -> None:
    """Signal the group but for this process, and those children of it that have left the group."""
    for pid in _children():
        if os.getpgid(pid) != os.getpid():
            os.kill(pid, number)
    before = signal.signal(number, signal.SIG_IGN)
    os.killpg(0, number)
    signal.signal(number, before)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _end_all(polite: int, seconds: float) -> None:
    if _wait_for_all(0):
        return
    _signal_all(polite)
    if _wait_for_all(seconds):
        return
    # Whose parent is killed becomes a child of ours, and is killed in the next round.
    while _children() and not _wait_for_all(0):
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        _wait_for_all(0.1)


def _stay(command: list[str], environment: dict[str, str], parent: int, polite: int, seconds: float) -> int:
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the program leaves behind becomes ours to end
    guard = os.getpid()

    def end(*_: object) -> None:
        _end_all(polite, seconds)
        os._exit(128 + polite)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    program = subprocess.Popen(command, env=environment, preexec_fn=lambda: _end_with_parent(guard, polite))
    _end_with_parent(parent, signal.SIGTERM)
    code = program.wait()
    _end_all(polite, seconds)
    return code if code >= 0 else 128 - code


def main(argument: str) -> int:
    """Become the program of the SPEC, or its parent and return its exit code."""
    if not argument.startswith("{"):
        with open(argument, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
            argument = file.read()
    spec = json.loads(argument)
    parent = spec["parent"]
    # A background job of a shell without job control hands down an ignored SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(spec["directory"])
    if spec["user"]:
        _become(spec["user"], spec["may_read_all"])
    command, environment, polite = spec["command"], spec["environment"], signal.Signals(spec["signal"])
    if spec["group_seconds"] is None:
        _end_with_parent(parent, polite)  # after the change of user, which clears it
        os.execvpe(command[0], command, environment)  # noqa: S606 - the guard becomes the program
    return _stay(command, environment, parent, polite, spec["group_seconds"])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except OSError as error:
        print(f"could not start: {error}", file=sys.stderr)
        sys.exit(126)
