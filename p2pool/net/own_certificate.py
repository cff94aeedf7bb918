"""The certificate of a port: the operator's, or one that the node makes and renews itself.

A self-made certificate is a pair: a P-256 certificate with its key, and an RSA one for miners and tools that know
RSA only. If it is corrupt or about to expire, it is renamed and replaced at the start. Any other certificate is
never replaced.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from p2pool.base.errors import OperatorError
from p2pool.net.tls import (
    KeyKind,
    ServerCertificate,
    UnusableCertificate,
    check_pair,
    is_self_made,
    make_self_signed,
)

RENEWAL_DAYS: Final = 30
"""Days before its end from which a self-made certificate is replaced at the start."""
_log = Logger(namespace="p2pool.tls")


def find_certificate(
    given: tuple[Path | None, Path | None], *, own: tuple[Path, Path], self_signed: bool, now: float
) -> ServerCertificate:
    """Return the certificate and key that were `given`, else the node's `own`. With `self_signed` they are made if
    neither file exists, and the node's own ones are replaced if they can no longer be used. Raises OperatorError.
    Blocks, so call it at the start only."""
    main = _Pair(given[0] or own[0], given[1] or own[1], KeyKind.ECDSA)
    if not self_signed:
        return ServerCertificate(main.certificate, main.key)
    is_own = given == (None, None)
    main.prepare(is_own, now)
    if not is_self_made(main.certificate):
        return ServerCertificate(main.certificate, main.key)
    rsa = _Pair(_rsa_path(main.certificate), _rsa_path(main.key), KeyKind.RSA)
    try:
        rsa.prepare(is_own, now)
        return ServerCertificate(main.certificate, main.key, additional=(rsa.certificate, rsa.key))
    except OperatorError as error:
        _log.warn(
            "the self-signed certificate {path} works, but its RSA companion {rsa} cannot be made: {error}. "
            "Miners that know only RSA cannot connect",
            path=str(main.certificate),
            rsa=str(rsa.certificate),
            error=str(error),
        )
        return ServerCertificate(main.certificate, main.key)


def _rsa_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-rsa{path.suffix}")


@dataclass(frozen=True, slots=True)
class _Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path
    kind: KeyKind

    def prepare(self, replaceable: bool, now: float) -> None:
        """Make the two files if neither exists. If they are `replaceable` and cannot be used, they are renamed
        first. Raises OperatorError."""
        existing = [path for path in (self.certificate, self.key) if os.path.lexists(path)]
        if existing and replaceable:
            problem = self._problem(now)
            if problem is None:
                return
            renamed = [_rename(path, now) for path in existing]
            _log.warn(
                "replacing the node's own certificate {path}: {problem}. The old files are now {renamed}. Give "
                "the new fingerprint to everyone who checks it",
                path=str(self.certificate),
                problem=problem,
                renamed=", ".join(map(str, renamed)),
            )
        elif existing:
            return
        make_self_signed(self.certificate, self.key, names=_own_names(), now=now, kind=self.kind)
        _log.info("made the self-signed certificate {path}", path=self.certificate)

    def _problem(self, now: float) -> str | None:
        """Return why the node's own files cannot be used; None if they can. Raises OperatorError if they may be
        good but cannot be read, or if the node has not made them."""
        files = (self.certificate, "certificate"), (self.key, "key")
        for path, _ in files:
            if path.exists() and not path.is_file():
                raise OperatorError(f"{path} is not a file: move it away to have a certificate made")
        for path, what in files:
            if not path.exists():
                return f"the {what} {path} is missing"
        try:
            not_after = check_pair(self.certificate, self.key)
        except UnusableCertificate as error:
            return error.problem
        if is_self_made(self.certificate) and not_after - now < RENEWAL_DAYS * 86400:
            return f"it is valid until {datetime.fromtimestamp(not_after, UTC):%Y-%m-%d} only"
        return None


def _rename(path: Path, now: float) -> Path:
    """Rename a file so that nobody takes it for the certificate in use. Return its new name. Raises
    OperatorError."""
    stamp = f"{datetime.fromtimestamp(int(now), UTC):%Y%m%d-%H%M%S}"
    renamed = path.with_name(f"{path.name}.old-{stamp}")
    number = 1
    while os.path.lexists(renamed):
        number += 1
        renamed = path.with_name(f"{path.name}.old-{stamp}-{number}")
    try:
        os.rename(path, renamed)
    except OSError as error:
        raise OperatorError(f"cannot rename {path} to {renamed}: {error.strerror}") from None
    return renamed


def _own_names() -> list[str]:
    """Return the names by which this host may be known."""
    names = ["localhost", "127.0.0.1", "::1"]
    own = socket.gethostname()
    # Other names cannot be in a certificate.
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", own):
        names.append(own)
    return list(dict.fromkeys(names))
