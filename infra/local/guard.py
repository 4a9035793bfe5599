"""Starts one program so that it can't outlive its parent: `python guard.py SPEC`, SPEC being JSON or a file of it.

It imports the standard library alone and little of that, since every service waits for it. Keys of SPEC:

- command, environment (all of it), directory
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


def _stay(command: list[str], environment: dict[str, str], parent: int, polite: int, seconds: float) -> int:
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the program leaves behind becomes ours to end

    def end_group(*_: object) -> None:
        os.killpg(0, polite)
        if not _wait_for_all(seconds):
            os.killpg(0, signal.SIGKILL)
        os._exit(128 + polite)

    # The supervisor signals the whole group: of that the guard takes no notice, it waits for the program to obey.
    signal.signal(polite, lambda *_: None)
    for number in {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1} - {polite}:
        signal.signal(number, end_group)
    _end_with_parent(parent, signal.SIGUSR1)
    program = subprocess.Popen(command, env=environment)
    code = program.wait()
    if not _wait_for_all(0):
        os.killpg(0, polite)
        if not _wait_for_all(seconds):
            os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def main(argument: str) -> int:
    """Become the program of the SPEC, or its parent and return its exit code."""
    parent = os.getppid()
    if not argument.startswith("{"):
        with open(argument, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
            argument = file.read()
    spec = json.loads(argument)
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
