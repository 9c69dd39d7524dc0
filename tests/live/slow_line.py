"""A TCP relay that is slow, and can be cut: the network between a participant and the server."""

import contextlib
import socket
import threading
import time


class SlowLine:
    """Relays to a port, or to the socket of that name.

    bytes_per_s : limit of each direction of each connection.   host : of the port.   listen : our own address.
    source : the address that the server sees.
    """

    def __init__(
        self,
        target: int | str,
        bytes_per_s: float,
        *,
        host: str = "127.0.0.1",
        listen: str = "127.0.0.1",
        source: str = "",
    ) -> None:
        self.target, self.host, self.bytes_per_s, self.source = target, host, bytes_per_s, source
        self.open: list[socket.socket] = []
        self.dead: list[socket.socket] = []
        self.down = False
        self.listener = socket.create_server((listen, 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://{listen}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.down:
                    raise ConnectionRefusedError
                server = self._connect()
            except OSError:
                client.close()
                continue
            self.open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self.target, int):
            return socket.create_connection((self.host, self.target), timeout=None, source_address=(self.source, 0))
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        return server

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(16384):
                if source in self.dead:
                    return
                sink.sendall(data)
                time.sleep(len(data) / self.bytes_per_s)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # Whoever still sends must be told (RST): a browser whose window is full reads no answer before.
            source.close()

    def go_dead(self) -> None:
        """Carry nothing more on the connections that are open now, and tell nobody: as behind a router that forgot."""
        self.dead += self.open
        self.open.clear()

    def cut(self) -> None:
        """Break every connection that is open now."""
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.open.clear()

    def close(self) -> None:
        self.listener.close()
        self.open += self.dead
        self.cut()
