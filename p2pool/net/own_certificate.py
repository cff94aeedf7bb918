"""The certificate of a port: the operator's, or one that the node makes for itself and looks after.

A self-made certificate is two: a P-256 certificate with its key, and an RSA one for miners and tools that know RSA
only. What is damaged or about to expire is renamed and made anew at the start. A certificate of somebody else's is
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
"""A self-made certificate that has no more days left is made anew at the start."""
_log = Logger(namespace="p2pool.tls")


def find_certificate(
    given: tuple[Path | None, Path | None], own: tuple[Path, Path], self_signed: bool, now: float
) -> ServerCertificate:
    """Return the certificate and key that were `given`, else the node's `own`. With `self_signed` they are made if
    neither file exists, and the node's own ones also if they cannot be used any more. Raises OperatorError.
    Blocks: at the start only."""
    main = _Pair(given[0] or own[0], given[1] or own[1], KeyKind.ECDSA)
    if not self_signed:
        return ServerCertificate(main.certificate, main.key)
    is_own = given == (None, None)
    main.prepare(is_own, now)
    if not is_self_made(main.certificate):
        return ServerCertificate(main.certificate, main.key)
    beside = _Pair(_rsa_beside(main.certificate), _rsa_beside(main.key), KeyKind.RSA)
    try:
        beside.prepare(is_own, now)
        return ServerCertificate(main.certificate, main.key, (beside.certificate, beside.key))
    except OperatorError as error:
        _log.warn("no RSA certificate beside {path}: {error}", path=str(main.certificate), error=str(error))
        return ServerCertificate(main.certificate, main.key)


def _rsa_beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}-rsa{path.suffix}")


@dataclass(frozen=True, slots=True)
class _Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path
    kind: KeyKind

    def prepare(self, replaceable: bool, now: float) -> None:
        """Make the two if neither exists. Where they are `replaceable` and cannot be used, they are moved aside
        first. Raises OperatorError."""
        existing = [path for path in (self.certificate, self.key) if os.path.lexists(path)]
        if existing and replaceable:
            problem = self._problem(now)
            if problem is None:
                return
            aside = [_move_aside(path, now) for path in existing]
            _log.warn(
                "the node's own certificate {path} is made anew: {problem}. The old files are now {aside}; who "
                "compares its fingerprint has to be told the new one",
                path=str(self.certificate),
                problem=problem,
                aside=", ".join(map(str, aside)),
            )
        elif existing:
            return
        make_self_signed(self.certificate, self.key, _own_names(), now, self.kind)
        _log.info("self-signed certificate made: {path}", path=self.certificate)

    def _problem(self, now: float) -> str | None:
        """Why the node's own files cannot be used; None where they can. Raises OperatorError where they may be
        good but cannot be read, or are none that the node has made."""
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


def _move_aside(path: Path, now: float) -> Path:
    """Rename a file so that nobody takes it for the certificate in use. Returns its new name. Raises
    OperatorError."""
    stamp = f"{datetime.fromtimestamp(int(now), UTC):%Y%m%d-%H%M%S}"
    aside = path.with_name(f"{path.name}.old-{stamp}")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.old-{stamp}-{number}")
    try:
        os.rename(path, aside)
    except OSError as error:
        raise OperatorError(f"cannot rename {path} to {aside}: {error.strerror}") from None
    return aside


def _own_names() -> list[str]:
    """What this machine may be called."""
    names = ["localhost", "127.0.0.1", "::1"]
    own = socket.gethostname()
    # Others cannot stand in a certificate.
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", own):
        names.append(own)
    return list(dict.fromkeys(names))
