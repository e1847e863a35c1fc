"""How the local cloud speaks HTTP, where clients depend on it."""

import socket
from urllib.parse import urlsplit

SECONDS = 10
HEAD = b"PUT /lab/x HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"


def test_a_body_that_waits_to_be_asked_for_is_asked_for_at_once(cloud):
    """botocore sends S3 no object before that, or before a second has passed."""
    address = urlsplit(cloud.url)
    with socket.create_connection((address.hostname, address.port), SECONDS) as connection:
        connection.sendall(HEAD)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
