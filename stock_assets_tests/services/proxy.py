"""An HTTP proxy, as in company networks, that connects every host to one server of this machine."""

import socket
import socketserver
import threading


class ConnectProxy:
    """Answers CONNECT, and then forwards data both ways until it is closed."""

    def __init__(self, port: int) -> None:
        """Forward everything to `port` of 127.0.0.1."""
        self.asked: list[str] = []  # hosts

        class Handler(_Handler):
            target, seen = port, self.asked

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Its URL, for clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


class _Handler(socketserver.StreamRequestHandler):
    target: int
    seen: list[str]
    disable_nagle_algorithm = True
    rbufsize = 0  # bytes after the head must not be read here

    def handle(self) -> None:
        head = self.rfile.readline().decode()
        while self.rfile.readline().strip():
            continue
        method, _, host = head.partition(" ")
        if method != "CONNECT":
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            return
        self.seen.append(host.partition(":")[0])
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_forward, args=(server, self.connection), daemon=True)
            back.start()
            _forward(self.connection, server)
            back.join()


def _forward(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has closed the connection
        pass
