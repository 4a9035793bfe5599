"""The fork server of the code server: its processes have the definitions loaded, and it leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stock_assets_tests.services.waiting import until

# Prints, for each of two processes: whether it has the definitions, whether it is a child of the fork server.
CODE = """
import multiprocessing, os, signal, sys
from multiprocessing import forkserver
from stock_assets import code_server

def run(answers):
    answers.put(("stock_assets.definitions" in sys.modules, os.getppid(), signal.getsignal(signal.SIGINT)))

def main(kill):
    code_server._start_fork_server()
    pid = forkserver._forkserver._forkserver_pid
    if kill:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    context = multiprocessing.get_context("forkserver")
    for _ in range(2):
        answers = context.Queue()
        process = context.Process(target=run, args=[answers])
        process.start()
        loaded, parent, handler = answers.get(timeout=60)
        process.join(60)
        print(loaded, parent == pid, handler is signal.default_int_handler, process.exitcode, flush=True)
    print(forkserver._forkserver._forkserver_pid, flush=True)
    sys.stdin.read()

if __name__ == "__main__":
    main(len(sys.argv) > 1)
"""


@pytest.mark.parametrize("kill", [False, True], ids=["forked", "killed"])
def test_each_run_gets_a_process_that_has_the_definitions(tmp_path: Path, kill: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(CODE)
    code_server = subprocess.Popen(
        [sys.executable, str(script), *["kill"] * kill], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert code_server.stdout is not None
        answers = [code_server.stdout.readline().split() for _ in range(2)]
        assert answers == [["True", str(not kill), "True", "0"]] * 2
        fork_server = psutil.Process(int(code_server.stdout.readline()))
    finally:
        code_server.kill()
    until(lambda: not fork_server.is_running() or fork_server.status() == psutil.STATUS_ZOMBIE)
