"""A pod of the cluster that serves a picture at /street.jpg, takes webhooks at /hook, and tells them at /calls."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CALLS = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/calls":
            self.answer(200, "application/json", json.dumps(CALLS).encode())
        elif self.path == "/street.jpg":
            self.answer(200, "image/jpeg", Path("/receiver/street.jpg").read_bytes())
        else:
            self.answer(404, "text/plain", b"")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        CALLS.append({"headers": {name.lower(): value for name, value in self.headers.items()}, "body": body})
        self.answer(204, "text/plain", b"")

    def answer(self, status, kind, content):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


ThreadingHTTPServer.request_queue_size = 128  # not five: connections beyond it are lost without a word
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
