"""A web server on this machine whose files arrive whole, cut short, corrupt, slowly or not at all."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What the server does with a path.

    Attributes:
        content: the file.
        cut: break the connection after so many bytes, `cuts` times; the header announces the whole file.
        pause: seconds between the bytes of the answer, which is then sent byte by byte.
        status: sent instead of the file, `refusals` times.
        ranges: honour Range requests.
    """

    content: bytes = b""
    cut: int | None = None
    cuts: int = 10**9
    pause: float = 0.0
    status: int = 200
    refusals: int = 10**9
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)


class Server:
    """Pages by path; `hits` counts the requests."""

    def __init__(self, address: str):
        self.address = address
        self.pages: dict[str, Page] = {}
        self.hits: Counter[str] = Counter()
        self.closing = threading.Event()

    def add(self, path: str, content: bytes = b"", **behaviour) -> str:
        """Serve `content` at `path`; returns its address."""
        self.pages[path] = Page(content, **behaviour)
        return f"{self.address}/{path}"


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            path = self.path.lstrip("/")
            server.hits[path] += 1
            page = server.pages.get(path, Page(status=404))
            page.asked.append(self.headers.get("Range"))
            if page.status != 200 and page.refusals > 0:
                page.refusals -= 1
                self.send_response(page.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            if page.ranges and (asked := self.headers.get("Range")):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            body = page.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("ETag", '"the-only-version"')
            self.send_header("Content-Length", str(len(body)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                if page.cut is not None and page.cuts > 0:
                    page.cuts -= 1
                    self.wfile.write(body[: page.cut])
                    self.close_connection = True
                elif page.pause:
                    for at in range(len(body)):
                        self.wfile.write(body[at : at + 1])
                        if server.closing.wait(page.pause):
                            break
                else:
                    self.wfile.write(body)

    return Handler


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A running server; stops at the end of the block."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
    listener.RequestHandlerClass = _handler(server)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        listener.shutdown()
        thread.join()
        listener.server_close()
