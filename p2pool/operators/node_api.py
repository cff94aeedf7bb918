"""Asks the running node through its JSON API, at the address and with the login that its settings say."""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from p2pool import __version__
from p2pool.app.commands import URL_FLAG
from p2pool.app.config import Config, gather_settings, make_config
from p2pool.base.endpoints import host_and_port, reachable_host
from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.settings import Given
from p2pool.base.text import printable, without_login
from p2pool.operators.arguments import Arguments

PATIENCE: Final = 10.0
"""Seconds to wait for an answer."""
MAX_ANSWER: Final = 16 << 20
"""Bytes of an answer."""


class NotFound(OperatorError):
    """The node answers that it does not know what is asked for."""


@dataclass(frozen=True, slots=True)
class NodeApi:
    """A node's JSON API. `headers` hold the login; without `verify` any certificate is good, since the connection
    is to this machine."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool = True

    def get(self, path: str, *parts: str) -> Any:
        """Return the JSON at /api/v1/`path`/`parts`. Raises NotFound, OperatorError."""
        where = "/".join([path, *(quote(part, safe="") for part in parts)])
        context = ssl.create_default_context() if self.verify else ssl._create_unverified_context()
        # No proxy of the environment: the node is near.
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        try:
            request = Request(f"{self.url.rstrip('/')}/api/v1/{where}", headers=dict(self.headers))
            with opener.open(request, timeout=PATIENCE) as answer:
                return json.loads(answer.read(MAX_ANSWER))
        except HTTPError as error:
            with error:
                raise _refused(error.code, _message(error.read(MAX_ANSWER)), self.url) from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            why = reason_of(reason) if isinstance(reason, Exception) else str(reason)
            raise OperatorError(
                f"no node answers at {self.url} ({why}): start it, or give the flags with which it was started, "
                "or its address with --url",
                1,
            ) from None
        except ValueError:
            raise OperatorError(
                f"what answers at {self.url} is no p2pool-dash node: give its address with --url"
            ) from None


@contextmanager
def understood(api: NodeApi) -> Iterator[None]:
    """Raise OperatorError where answers have other fields than those of this version, whatever it is that
    answers: another version, or no node at all."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise OperatorError(
            f"what answers at {api.url} is not p2pool-dash {__version__} ({type(error).__name__} "
            f"{printable(str(error), 100)}): give the node's address with --url, or use the node's own version",
            1,
        ) from error


def _message(body: bytes) -> str:
    """Return the text of an error of the API; "" if it is of another form."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return printable(str(message), 300)


def _refused(status: int, message: str, shown: str) -> OperatorError:
    if status == 404 and message:
        return NotFound(message, 1)
    if status in (401, 403):
        return OperatorError(
            f"{shown} requires a login: give the same --web-password-file, --api-key-file or --config as the node",
            1,
        )
    return OperatorError(f"{shown} answered with HTTP {status}{message and ': '}{message}", 1)


def node_api(arguments: Arguments, environment: Mapping[str, str] = os.environ) -> NodeApi:
    """Return the API of the node that a command line names. Raises OperatorError."""
    given, words = gather_settings(arguments.rest, arguments.default_datadir, environment)
    config = make_config(given, words, arguments.default_datadir)
    headers = _login(given)
    url = arguments.flags.get(URL_FLAG.name)
    if isinstance(url, str):
        if not url.startswith(("http://", "https://")):
            raise OperatorError(f"--url {without_login(url)}: give an address like http://127.0.0.1:7903/")
        if "@" in url:
            raise OperatorError(f"--url {without_login(url)}: give the login with --web-password-file instead")
        return NodeApi(url, headers)
    return NodeApi(_own_url(config), headers, verify=False)


def _own_url(config: Config) -> str:
    host, port = config.worker_endpoint if config.web_port is None else config.web_port
    if port == 0:
        raise OperatorError("the settings let the system choose the port: give the node's address with --url")
    secure = config.web_port is not None and config.serves_https
    return f"{'https' if secure else 'http'}://{host_and_port(reachable_host(host), port)}/"


def _login(given: Mapping[str, Sequence[Given]]) -> dict[str, str]:
    """Return the headers of the login and of the API key that the settings have."""
    headers = {}
    if "web_password" in given:
        token = base64.b64encode(given["web_password"][-1].text.encode("utf-8", "replace")).decode("ascii")
        headers["Authorization"] = f"Basic {token}"
    if "api_key" in given:
        headers["X-API-Key"] = given["api_key"][0].text.strip()
    return headers
