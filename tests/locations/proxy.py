"""A TCP proxy that fails on request: it cuts, stalls, slows down or refuses connections.

    with running_proxy(server.port) as proxy:
        proxy.cut_after(sent=100_000)      # the client's first 100,000 bytes arrive, then the connection is reset
        proxy.stall_after(received=0)      # the server's bytes are not passed on; nobody learns why
        proxy.delay_seconds = 0.1          # before each piece
        proxy.refuse()                     # nobody listens at the port any more
        proxy.heal()                       # all is as it was at the start, and counting begins again

"Sent" is what the client sends, "received" what it receives. Bytes are counted over all connections.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NEVER = 2**62
_RESET = struct.pack("ii", 1, 0)


@dataclass
class _Limits:
    sent: int = _NEVER
    received: int = _NEVER


class Proxy:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._counting = threading.Lock()
        self.heal()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def heal(self) -> None:
        self.sent = self.received = 0
        self.delay_seconds = 0.0
        self._cut, self._stall = _Limits(), _Limits()
        if self._listener.fileno() == -1:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut_after(self, *, sent: int = _NEVER, received: int = _NEVER) -> None:
        self.sent = self.received = 0
        self._cut = _Limits(sent, received)

    def stall_after(self, *, sent: int = _NEVER, received: int = _NEVER) -> None:
        self.sent = self.received = 0
        self._stall = _Limits(sent, received)

    def cut(self) -> None:
        """Reset all open connections."""
        for one in list(self._open):
            self._close(one)

    def refuse(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
        self._listener.close()
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()
                continue
            self.connections += 1
            self._open |= {client, server}
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select():
                    is_sent = key.fileobj is client
                    origin, target = (client, server) if is_sent else (server, client)
                    if self._is_end_held_back(origin, is_sent=is_sent):
                        selector.unregister(origin)
                        continue
                    if not self._pass_piece(origin, target, is_sent=is_sent):
                        self._close(client)
                        self._close(server)
                        return

    def _is_end_held_back(self, origin: socket.socket, *, is_sent: bool) -> bool:
        """Return whether the connection stalls and its other side has closed it, which is not passed on either."""
        direction = "sent" if is_sent else "received"
        is_stalled = getattr(self, direction) >= getattr(self._stall, direction)
        return bool(is_stalled and not origin.recv(1, socket.MSG_PEEK))

    def _pass_piece(self, origin: socket.socket, target: socket.socket, *, is_sent: bool) -> bool:
        """Return whether the connection goes on."""
        piece = origin.recv(65536)
        direction = "sent" if is_sent else "received"
        with self._counting:
            done = getattr(self, direction)
            setattr(self, direction, done + len(piece))
        cut, stall = getattr(self._cut, direction), getattr(self._stall, direction)
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        if done + len(piece) > stall:
            target.sendall(piece[: max(0, stall - done)])
            return bool(piece)
        target.sendall(piece[: max(0, cut - done)])
        return bool(piece) and done + len(piece) < cut

    def _close(self, one: socket.socket) -> None:
        self._open.discard(one)
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            one.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            one.close()


@contextmanager
def running_proxy(target_port: int) -> Iterator[Proxy]:
    proxy = Proxy(target_port)
    try:
        yield proxy
    finally:
        proxy.refuse()
