"""Receives with Python's own http.server, at its defaults: HTTP/1.0, so a connection for each request.

Usage: python.py FILE-OF-ARRIVALS DROPPED PORT ADDRESS..
Of DROPPED arrivals one is forgotten, and answered all the same; of 0 none is.
"""

import itertools
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARRIVALS, DROPPED, PORT, *ADDRESSES = sys.argv[1:]
FILE = os.open(ARRIVALS, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
NUMBERS = itertools.count(1)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        line = f"{self.path} {self.headers['webhook-id']} {self.request_version} {os.getpid()}\n"
        if int(DROPPED) == 0 or next(NUMBERS) % int(DROPPED) != 0:
            os.write(FILE, line.encode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


for address in ADDRESSES:
    server = ThreadingHTTPServer((address, int(PORT)), Receiver)
    threading.Thread(target=server.serve_forever).start()
