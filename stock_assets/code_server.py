"""The code server of `stocks up`: it loads the definitions once, and the processes of its runs are forked from them.

`dagster api grpc` starts a new interpreter for each run, which imports Dagster and the definitions anew: five CPU
seconds, before the run begins. Here a fork server, itself forked before any thread is there, gives each run a process
that has everything loaded. It ends when the code server and all runs have ended.
"""

import gc
import multiprocessing
import os
import socket
import sys
from multiprocessing import connection, forkserver
from typing import Any

from stock_assets import definitions
from stock_assets.dagster_internals import serve_definitions


def main(host: str, port: int) -> None:
    """Serve the definitions by gRPC until a signal comes."""
    gc.freeze()  # so that the collector of a fork does not copy what it shares with this process
    _start_fork_server()
    serve_definitions(definitions.__name__, host, port, multiprocessing.get_context("forkserver"))


def _start_fork_server() -> None:
    """Do as `multiprocessing.forkserver.ensure_running`, with a fork of this process instead of a new interpreter.

    Should the fork server be killed, multiprocessing starts another one in its own way, which imports the definitions.
    """
    forkserver.set_forkserver_preload([definitions.__name__])
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    alive_read, alive_write = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(alive_write)
                forkserver.main(listener.detach(), alive_read, [])
            finally:
                os._exit(0)
    os.close(alive_read)
    state: Any = forkserver._forkserver
    state._forkserver_address, state._forkserver_alive_fd, state._forkserver_pid = address, alive_write, pid


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
