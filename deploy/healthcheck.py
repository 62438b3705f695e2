"""Exits with 0 when the server behind the Unix socket SOCKET is ready: a health check for an image without curl."""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(8)
    connection.connect(os.environ["SOCKET"])
    connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
    answer = connection.makefile("rb").readline()
sys.exit(b" 200 " not in answer)
