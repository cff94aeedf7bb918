"""Alerts by e-mail: one message to one address, through the operator's mail server. `send` blocks and is called in
a thread; it ends within TOTAL_TIME, whatever the server does.

With a login the connection is encrypted and the server's certificate checked, or nothing is sent. Without one it
is encrypted if the server offers that, with any certificate: that is better than no encryption.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
from dataclasses import dataclass, field, replace
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from p2pool.alerts.channel import (
    MIN_SECRET,
    DeliveryOutcome,
    DeliveryResult,
    OutboxEntry,
    delivered,
    failed,
    shortened,
)
from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.outgoing import connect_blocking
from p2pool.base.text import printable

STEP_TIME: Final = 10.0
"""Seconds for one reply of the server."""
TOTAL_TIME: Final = 45.0
MAX_REPLY: Final = 64 * 1024
"""Bytes of one reply."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The operator's mail server. `encrypted`: TLS from the first byte (smtps); else STARTTLS. `sender` is the
    From of all messages, `authorities` a PEM file of certificates to trust in place of the system's."""

    host: str
    port: int
    sender: str
    encrypted: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: Path | None = None


class _Bounded:
    """A server's replies as smtplib reads them, a line at a time; more than MAX_REPLY bytes of one end it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.left = MAX_REPLY

    def readline(self, limit: int = -1) -> bytes:
        """Read a line, as smtplib asks for it."""
        line: bytes = self._file.readline(limit)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("the server's reply is too long")
        return line

    def close(self) -> None:
        """Close the file below."""
        self._file.close()


_NAMELESS: Final = "[127.0.0.1]"
"""What this machine calls itself to a server that is not to know its name."""


class _Smtp(smtplib.SMTP):
    """An SMTP client with replies of a bounded size; `context` is set if it is encrypted from the first byte."""

    context: ssl.SSLContext | None = None

    is_over = False

    def __init__(self, environment: Environment | None) -> None:
        hidden = environment is not None and environment.proxy is not None
        super().__init__(timeout=STEP_TIME, local_hostname=_NAMELESS if hidden else None)
        self._environment = environment

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        if self._environment is None:
            plain = socket.create_connection((host, port), timeout)
        else:
            plain = connect_blocking(self._environment, host, port, timeout=timeout)
        if self.is_over:  # resolving the name, or its first addresses, took all the time
            plain.close()
            raise OSError(f"it could not be reached within {TOTAL_TIME:g} s")
        return plain if self.context is None else self.context.wrap_socket(plain, server_hostname=host)

    @override
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        if isinstance(self.file, _Bounded):
            self.file.left = MAX_REPLY
        return super().getreply()

    def disconnect(self) -> None:
        """End, from another thread, whatever the connection waits for, and let no new one begin."""
        self.is_over = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class Mail:
    """The channel to one address. `send` is called with `run_in_thread`."""

    def __init__(self, server: MailServer, recipient: str, environment: Environment) -> None:
        self._server = server
        self._recipient = recipient
        self._environment = environment

    async def deliver(self, entry: OutboxEntry, now: float) -> DeliveryResult:
        """Send the entry's content as a message, and return the result."""
        message = compose_mail(self._server, self._recipient, entry)
        result: DeliveryResult = await self._environment.run_in_daemon_thread(
            lambda: send(self._server, self._recipient, message, environment=self._environment)
        )
        return result


def compose_mail(server: MailServer, recipient: str, entry: OutboxEntry) -> EmailMessage:
    """Return a message whose headers no name can break. An entry always has the same Message-ID, so that a
    duplicate can be recognised."""
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = recipient
    message["Subject"] = printable(str(entry.content.get("subject", "")), 200)
    message["Date"] = formatdate(entry.created)
    message["Message-ID"] = f"<{entry.id}@{server.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(str(entry.content.get("body", "")).encode("utf-8", "replace").decode("utf-8"))
    return message


def send(
    server: MailServer, recipient: str, message: EmailMessage, *, environment: Environment | None = None
) -> DeliveryResult:
    """Make one attempt, through the proxy of the environment if it has one. Blocks. Addresses and login are
    removed from what the server said: everybody may read it."""
    result = _attempt(server, recipient, message, environment=environment)
    text = result.text
    for hidden in (recipient, server.sender, server.user, server.password):
        if hidden is not None and len(hidden) >= MIN_SECRET:
            text = re.sub(re.escape(hidden), "...", text, flags=re.IGNORECASE)
    return replace(result, text=text)


def _attempt(
    server: MailServer, recipient: str, message: EmailMessage, *, environment: Environment | None
) -> DeliveryResult:
    smtp = _Smtp(environment)
    watchdog = threading.Timer(TOTAL_TIME, smtp.disconnect)
    watchdog.daemon = True
    watchdog.start()
    try:
        return _talk(smtp, server, recipient=recipient, message=message)
    except smtplib.SMTPRecipientsRefused as error:
        code, reply = next(iter(error.recipients.values()), (0, b""))
        return _refused(code, reply)
    except smtplib.SMTPResponseException as error:
        return _refused(error.smtp_code, error.smtp_error)
    except ssl.SSLCertVerificationError as error:
        return failed(f"the certificate of {server.host} cannot be trusted: {error.verify_message}")
    except (smtplib.SMTPException, OSError, EOFError, ValueError, MessageError) as error:
        return failed(f"{host_and_port(server.host, server.port)}: {error or type(error).__name__}")
    finally:
        watchdog.cancel()
        smtp.close()


def _talk(smtp: _Smtp, server: MailServer, *, recipient: str, message: EmailMessage) -> DeliveryResult:
    if server.encrypted:
        smtp.context = _context(server, checked=True)
    smtp._host = server.host  # type: ignore[attr-defined]  # what the certificate must name, after STARTTLS
    code, reply = smtp.connect(server.host, server.port)
    if code != 220:
        return _refused(code, reply)
    smtp.ehlo_or_helo_if_needed()
    if not server.encrypted:
        if smtp.has_extn("starttls"):
            checked = server.user is not None or server.authorities is not None
            smtp.starttls(context=_context(server, checked))
            smtp.ehlo()
        elif server.user is not None:
            return failed(
                f"{host_and_port(server.host, server.port)} does not offer encryption (STARTTLS), and a login is "
                "never sent unencrypted; give smtps://... if it has a port for that",
                outcome=DeliveryOutcome.REJECTED,
            )
    if server.user is not None:
        smtp.login(server.user, server.password or "")
    smtp.send_message(message, server.sender, [recipient])
    with contextlib.suppress(smtplib.SMTPException, OSError):
        smtp.quit()
    return delivered(f"{server.host} accepted the message", 250)


def _context(server: MailServer, checked: bool) -> ssl.SSLContext:
    authorities = None if server.authorities is None else str(server.authorities)
    context = ssl.create_default_context(cafile=authorities)
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _refused(code: int, reply: bytes | str) -> DeliveryResult:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return failed(
        f"SMTP {code}: {shortened(text)}",
        code,
        outcome=DeliveryOutcome.REJECTED if 500 <= code < 600 else DeliveryOutcome.RETRY,
    )
