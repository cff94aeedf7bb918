"""JSON-RPC as Dash Core speaks it: bytes of a request -> HTTP status and bytes of the answer. No sockets here.

Called by `rpc_server` (twisted.web) and by tests. The forms of requests, errors and batches follow captures 20.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import isawaitable

import orjson
from twisted.logger import Logger

from p2pool.base.text import printable
from p2pool.simnet.faults import FaultControls

HTTP_OK, HTTP_BAD_REQUEST, HTTP_NOT_FOUND, HTTP_ERROR = 200, 400, 404, 500

MISC_ERROR = -1
TYPE_ERROR = -3
INVALID_ADDRESS_OR_KEY = -5
INVALID_PARAMETER = -8
NOT_CONNECTED = -9
IN_INITIAL_DOWNLOAD = -10
DATABASE_ERROR = -20
DESERIALIZATION_ERROR = -22
VERIFY_ERROR = -25
VERIFY_REJECTED = -26
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
PARSE_ERROR = -32700

_STATUS = {INVALID_REQUEST: HTTP_BAD_REQUEST, METHOD_NOT_FOUND: HTTP_NOT_FOUND}

# Calls in one batch; Dash Core has no limit but that of the body.
_MAX_BATCH = 1000
CONTROL_PREFIX = "simnet_"


class MethodError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class JsonKind(Enum):
    """The JSON types of parameters; the value is what error messages call them."""

    STRING = "string"
    NUMBER = "number"
    BOOL = "bool"
    OBJECT = "object"
    ARRAY = "array"
    NULL = "null"
    ANY = "any"


def kind_of(value: object) -> JsonKind:
    """Return the JSON type of a parsed value."""
    if value is None:
        return JsonKind.NULL
    for kind, types in (
        (JsonKind.BOOL, bool),
        (JsonKind.STRING, str),
        (JsonKind.NUMBER, (int, float)),
        (JsonKind.OBJECT, dict),
    ):
        if isinstance(value, types):
            return kind
    return JsonKind.ARRAY


@dataclass(frozen=True, slots=True)
class MethodParameter:
    """A parameter of a method."""

    name: str
    kind: JsonKind
    required: bool = False


Handler = Callable[..., object]
"""Takes as many arguments as the method has parameters (None if one is left out); the result is JSON or an
awaitable of it. Raises MethodError."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method: what it is called with, what it does, and what `help` prints about it."""

    name: str
    parameters: tuple[MethodParameter, ...]
    handler: Handler
    description: str

    @property
    def usage(self) -> str:
        """Name, parameters and description."""
        words = [self.name]
        words += [f'"{p.name}"' if p.required else f"( {p.name} )" for p in self.parameters]
        return f"{' '.join(words)}\n\n{self.description}\n"

    def bind(self, params: object) -> list[object]:
        """Return the arguments for the handler from the request's params. Raises MethodError."""
        if params is None:
            given: Sequence[object] = ()
        elif isinstance(params, list):
            given = params
        elif isinstance(params, dict):
            given = self._named(params)
        else:
            raise MethodError(INVALID_REQUEST, "Params must be an array or object")
        required = sum(parameter.required for parameter in self.parameters)
        if len(given) > len(self.parameters) or len(given) < required:
            raise MethodError(MISC_ERROR, self.usage)
        arguments = list(given) + [None] * (len(self.parameters) - len(given))
        for parameter, argument in zip(self.parameters, arguments, strict=True):
            self._check(parameter, argument)
        return arguments

    def _named(self, params: Mapping[str, object]) -> list[object]:
        names = [parameter.name for parameter in self.parameters]
        for name in params:
            if name not in names:
                raise MethodError(INVALID_PARAMETER, f"Unknown named parameter {printable(name)}")
        values = [params.get(name) for name in names]
        while values and values[-1] is None:
            values.pop()
        return values

    def _check(self, parameter: MethodParameter, argument: object) -> None:
        kind = kind_of(argument)
        if parameter.kind in (kind, JsonKind.ANY) or (kind is JsonKind.NULL and not parameter.required):
            return
        raise MethodError(
            TYPE_ERROR, f"JSON value of type {kind.value} is not of expected type {parameter.kind.value}"
        )


Row = tuple[Handler, tuple[MethodParameter, ...]]
"""A method in a table: its handler, whose name and docstring are the method's, and its parameters."""


def make_methods(rows: Iterable[Row]) -> dict[str, Method]:
    """Return the table of the rows' methods by name."""
    return {
        handler.__name__: Method(handler.__name__, parameters, handler, (handler.__doc__ or "").strip())
        for handler, parameters in rows
    }


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What goes back over HTTP."""

    status: int
    body: bytes


def _render(answer: object) -> bytes:
    return orjson.dumps(answer) + b"\n"


def _answer(result: object, request_id: object) -> dict[str, object]:
    return {"result": result, "error": None, "id": request_id}


def _failure(error: MethodError, request_id: object) -> dict[str, object]:
    return {"result": None, "error": {"code": error.code, "message": error.message}, "id": request_id}


def _failed_reply(error: MethodError, request_id: object = None) -> HttpReply:
    return HttpReply(_STATUS.get(error.code, HTTP_ERROR), _render(_failure(error, request_id)))


class RpcDispatcher:
    """Answers requests from a table of methods; faults hit all calls but the controls themselves."""

    _log = Logger(namespace="p2pool.simnet.rpc")

    def __init__(
        self,
        methods: Mapping[str, Method],
        faults: FaultControls,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """`sleep(seconds)` is how late answers are made late."""
        self._methods = methods
        self._faults = faults
        self._sleep = sleep

    async def handle(self, body: bytes) -> HttpReply | None:
        """Return the reply to a request's body; None if the node is to stay silent."""
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _failed_reply(MethodError(PARSE_ERROR, "Parse error"))
        if _is_control(request):
            return await self._handle(request)
        if self._faults.silent:
            return None
        canned = self._faults.take_error()
        if canned is None:
            reply = await self._handle(request)
        else:
            request_id = request.get("id") if isinstance(request, dict) else None
            reply = _failed_reply(MethodError(canned.code, canned.message), request_id)
        if self._faults.delay_seconds > 0:
            await self._sleep(self._faults.delay_seconds)
        return reply

    async def _handle(self, request: object) -> HttpReply:
        if isinstance(request, list):
            if len(request) > _MAX_BATCH:
                return _failed_reply(MethodError(INVALID_REQUEST, f"More than {_MAX_BATCH} calls in a batch"))
            answers = [await self._answer_in_batch(call) for call in request]
            return HttpReply(HTTP_OK, _render(answers))
        if not isinstance(request, dict):
            return _failed_reply(MethodError(PARSE_ERROR, "Top-level object parse error"))
        try:
            result = await self._call(request)
        except MethodError as error:
            return _failed_reply(error, request.get("id"))
        return HttpReply(HTTP_OK, _render(_answer(result, request.get("id"))))

    async def _answer_in_batch(self, request: object) -> dict[str, object]:
        if not isinstance(request, dict):
            return _failure(MethodError(INVALID_REQUEST, "Invalid Request object"), None)
        try:
            return _answer(await self._call(request), request.get("id"))
        except MethodError as error:
            return _failure(error, request.get("id"))

    async def _call(self, request: Mapping[str, object]) -> object:
        name = request.get("method")
        if name is None:
            raise MethodError(INVALID_REQUEST, "Missing method")
        if not isinstance(name, str):
            raise MethodError(INVALID_REQUEST, "Method must be a string")
        params = request.get("params")
        if params is not None and not isinstance(params, (list, dict)):
            raise MethodError(INVALID_REQUEST, "Params must be an array or object")
        method = self._methods.get(name)
        if method is None:
            raise MethodError(METHOD_NOT_FOUND, "Method not found")
        arguments = method.bind(params)
        try:
            result = method.handler(*arguments)
            return await _awaited(result) if isawaitable(result) else result
        except OSError as error:
            self._log.error("RPC method {method} failed: {error}", method=name, error=str(error))
            raise MethodError(DATABASE_ERROR, f"Database error: {error}") from None


async def _awaited(result: Awaitable[object]) -> object:
    return await result


def _is_control(request: object) -> bool:
    calls = request if isinstance(request, list) else [request]
    return any(isinstance(call, dict) and str(call.get("method", "")).startswith(CONTROL_PREFIX) for call in calls)
