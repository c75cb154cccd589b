"""An HTTP server on loopback with the routes of the Kaggle client: a POST that redirects to a file with ranges.

`python kaggle_server.py FILE BEHAVIOUR`: serves on port 7777, prints each request as a line, stops after 60 seconds.
Behaviours: ok, 401, 403, 404, cut (half the file at first, then ranges), hang (half the file, then nothing more),
html (a page in place of the file), huge (a Content-Length that no disk holds).
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT, BEHAVIOUR = Path(sys.argv[1]).read_bytes(), sys.argv[2]
served = 0


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        print("POST", self.path, self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        if BEHAVIOUR.isdigit():
            body = json.dumps({"code": int(BEHAVIOUR), "message": "no"}).encode()
            self.answer(int(BEHAVIOUR), body, {"Content-Type": "application/json"})
        else:
            self.answer(302, b"", {"Location": "http://localhost:7777/file"})

    def do_GET(self):
        global served
        served += 1
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        print("GET", self.path, self.headers.get("Range"), flush=True)
        if BEHAVIOUR.isdigit():
            return self.answer(int(BEHAVIOUR), b"no", {})
        body = b"<html>sign in</html>" if BEHAVIOUR == "html" else CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"v1"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(10**17 if BEHAVIOUR == "huge" else len(body)))
        self.end_headers()
        if served == 1 and BEHAVIOUR in ("cut", "hang"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if BEHAVIOUR == "hang":
                time.sleep(30)
            self.close_connection = True
        else:
            self.wfile.write(body)
        return None

    def answer(self, status: int, body: bytes, headers: dict):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 7777), Handler)
server.daemon_threads = True
threading.Timer(60, server.shutdown).start()
print("ready", flush=True)
server.serve_forever()
sys.exit()
