"""A proxy before an object store that fails as networks do.

`failing_proxy.py PORT HOST:PORT [KEY=VALUE..]` with the keys `mbps` (bytes a second of all answers together, in 10^6), `fail` (share of
requests that are answered 500), `cut` (share of shards whose body ends early), `flip` (share with a changed bit), `stall` (share of
requests that are never answered) and `seed`. Needs nothing but Python.
"""

import http.client
import http.server
import random
import socketserver
import sys
import threading
import time

PIECE = 1 << 17


class Faults:
    def __init__(self, settings):
        self.settings = {key: float(value) for key, value in settings.items()}
        self.random = random.Random(int(self.settings.get("seed", 0)))
        self.lock = threading.Lock()
        self.free_at = time.monotonic()

    def draw(self, key):
        with self.lock:
            return self.random.random() < self.settings.get(key, 0.0)

    def pass_bytes(self, count):
        rate = self.settings.get("mbps", 0.0) * 1e6
        if not rate:
            return
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + count / rate
            wait = self.free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target = ""
    faults = None

    def log_message(self, *_):
        pass

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.faults.pass_bytes(len(body))
        if self.faults.draw("stall"):
            time.sleep(3600)
        if self.faults.draw("fail"):
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        upstream = http.client.HTTPConnection(self.target)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        self.answer(upstream.getresponse())
        upstream.close()

    def answer(self, response):
        self.send_response(response.status)
        names = {name.lower() for name, _ in response.getheaders()}
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        has_body = self.command != "HEAD" and response.status not in (204, 304)
        if has_body and "content-length" not in names:
            whole = response.read()
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)
            return
        self.end_headers()
        if has_body:
            self.send_body(response)

    def send_body(self, response):
        is_shard = self.command == "GET" and self.path.split("?")[0].endswith(".parquet") and "/points/" in self.path
        left = int(response.getheader("Content-Length") or 0)
        cut_at = left // 2 if is_shard and self.faults.draw("cut") else -1
        flips = is_shard and self.faults.draw("flip")
        while piece := response.read(PIECE):
            self.faults.pass_bytes(len(piece))
            if flips:
                piece, flips = bytes([piece[0] ^ 1]) + piece[1:], False
            left -= len(piece)
            if left <= cut_at:
                self.wfile.write(piece[:100])
                self.close_connection = True
                return
            self.wfile.write(piece)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

    def handle(self):
        try:
            super().handle()
        except (OSError, ValueError, http.client.HTTPException):
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(port, target, settings):
    """A server that runs until it is shut down, on `port`, or a free one for 0."""
    handler = type("Forward", (Handler,), {"target": target, "faults": Faults(settings)})
    return Server(("127.0.0.1", port), handler)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], dict(part.split("=", 1) for part in sys.argv[3:])).serve_forever()
