"""A collector of OTLP that keeps what it is sent."""

import gzip
import http.server
import threading


class Collector:
    """Listens at `address` until it is closed; `exports` has (path, headers, body) of each request."""

    def __init__(self):
        self.exports = exports = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                exports.append((self.path, dict(self.headers), body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def has(self, *texts):
        """Whether spans arrived that say all of this."""
        return any(path == "/v1/traces" and all(text.encode() in body for text in texts)
                   for path, _, body in list(self.exports))
