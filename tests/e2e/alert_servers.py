"""Servers that alerts go to, and that behave as servers do: well, badly, slowly, or not at all. Each runs in
threads of its own on the loopback."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HUGE = 10 * 1024 * 1024
PIECE = 64 * 1024


@dataclass(frozen=True)
class Post:
    """A request that came."""

    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HookServer:
    """The path of a request says what it is answered. /flaky is 500 until `flaky` is False."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.flaky = True
        self.sent: dict[str, int] = defaultdict(int)
        """Bytes that could be sent, by path."""
        self.over = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                owner.posts.append(Post(self.path, headers, body))
                with suppress(OSError):
                    owner.answer(self)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}/{path}"

    def to(self, path: str) -> list[Post]:
        """The requests to one path."""
        return [post for post in self.posts if post.path == f"/{path}"]

    def events(self, path: str) -> list[str]:
        return [post.json["event"] for post in self.to(path)]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.strip("/").partition("?")[0]
        here = f"http://127.0.0.1:{self.port}"
        redirects = {
            "to-loopback": f"{here}/secret",
            "to-link-local": "http://169.254.169.254/latest/meta-data",
            "to-name": f"http://localhost:{self.port}/secret",
            "to-mapped": f"http://[::ffff:127.0.0.1]:{self.port}/secret",
            "to-decimal": f"http://2130706433:{self.port}/secret",
            "relative": "/ok",
            "to-ftp": "ftp://example.org/",
            "loop": "/loop",
            "to-nowhere": "",
        }
        if path in redirects:
            self._plain(handler, 307 if path == "relative" else 302, b"", redirects[path])
        elif path == "hang":
            self.over.wait(60)
        elif path == "drip-headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(handler)
        elif path == "endless-headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.over.is_set():
                self.sent[path] += handler.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        elif path == "drip-body":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nslowly")
            self._drip(handler)
        elif path == "huge":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
            for _ in range(HUGE // PIECE):
                self.sent[path] += handler.wfile.write(b"x" * PIECE)
        elif path.isdigit():
            self._plain(handler, int(path), b"as you wish")
        elif path == "flaky" and self.flaky:
            self._plain(handler, 500, b"not today")
        else:
            self._plain(handler, 200, f"thanks for {handler.path}".encode())

    def _plain(self, handler: Any, status: int, body: bytes, location: str | None = None) -> None:
        handler.send_response(status)
        if location is not None:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _drip(self, handler: Any) -> None:
        while not self.over.wait(0.2):
            handler.wfile.write(b"x")

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def hook_server() -> Iterator[HookServer]:
    server = HookServer()
    try:
        yield server
    finally:
        server.close()


# --- mail --------------------------------------------------------------------------------------------------------


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = directory / "mail-cert.pem", directory / "mail-key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, secret


class Mailbox:
    """aiosmtpd's handler: keeps what comes; refuses addresses that begin with "nobody"."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, _: list[str]) -> str:
        if address.startswith("nobody"):
            return f"550 5.1.1 <{address}> from <{envelope.mail_from}>: there is nobody of that name"
        if address.startswith("later"):
            return "450 4.2.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"


@contextmanager
def mail_server(
    tls: tuple[Path, Path] | None = None, login: tuple[str, str] | None = None, from_first_byte: bool = False
) -> Iterator[tuple[Mailbox, int]]:
    """(what came, port) of a real SMTP server; STARTTLS where it has a certificate, a login where it has one."""
    mailbox, context = Mailbox(), None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)

    def authenticate(_: Any, __: Any, ___: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=right, handled=False)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options: dict[str, Any] = {}
    if login is not None:
        options = {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": tls is not None and not from_first_byte,
        }
    if from_first_byte:
        controller = Controller(mailbox, "127.0.0.1", port, ssl_context=context, **options)
    else:
        controller = Controller(
            mailbox,
            "127.0.0.1",
            port,
            tls_context=context,
            require_starttls=login is not None and tls is not None,
            **options,
        )
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()


@contextmanager
def rude_server(greeting: bytes, pause: float = 0.2) -> Iterator[int]:
    """The port of a server that says `greeting` again and again and never listens."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                while not over.wait(pause):
                    connection.sendall(greeting)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.close()
        thread.join(5)


def seconds_of(function: Any) -> tuple[Any, float]:
    """(what it returns, how long it takes)."""
    start = time.monotonic()
    return function(), time.monotonic() - start
