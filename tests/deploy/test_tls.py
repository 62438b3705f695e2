"""The lines for TLS, which deploy/nginx.conf has as comments, filled in."""

import subprocess
import warnings
from pathlib import Path

import requests
import urllib3

from tests.deploy.upstream import Upstream
from tests.nginx import nginx
from tests.serving import free_port


def test_filled_in_they_serve_https_and_the_server_knows(server: Upstream, directory: Path) -> None:
    certificate, key, port = directory / "certificate.pem", directory / "key.pem", free_port()
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 1"
    subprocess.run([*make.split(), "-out", certificate, "-keyout", key], check=True, capture_output=True)
    filled = {
        "# listen 443 ssl default_server;": f"listen 127.0.0.1:{port} ssl default_server;",
        "# ssl_certificate     /etc/ssl/tidemark/fullchain.pem;": f"ssl_certificate {certificate};",
        "# ssl_certificate_key /etc/ssl/tidemark/privkey.pem;": f"ssl_certificate_key {key};",
        "# ssl_protocols ": "ssl_protocols ",
        "# ssl_ciphers ": "ssl_ciphers ",
        "# ssl_session_cache ": "ssl_session_cache ",
        "# ssl_session_tickets ": "ssl_session_tickets ",
        '# add_header Strict-Transport-Security "max': 'add_header Strict-Transport-Security "max',
    }
    with nginx(directory, directory / "server.sock", filled), warnings.catch_warnings():
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        answer = requests.get(f"https://localhost:{port}/v0/config", verify=False, timeout=10)
        plain = requests.get(f"http://localhost:{port}/v0/config", timeout=10)
    assert (answer.status_code, answer.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
    assert (plain.status_code, plain.json()["error_code"]) == (400, "BadRequest")
    (seen,) = server.seen
    assert seen.headers.get_all("X-Forwarded-Proto") == ["https"]
