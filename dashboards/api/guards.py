"""What every request passes before anything looks at it.

One ASGI layer: a request id, the ``Host`` header (against DNS rebinding), the origin and
the content type (against forged requests from web pages: no page of another site can
send JSON or VCF here without asking first, and the answer to asking is no), the token,
the size of the body and the time it takes. No CORS header is ever sent.
"""

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.api.problems import Problem, problem_of, respond
from dashboards.api.settings import Settings

log = logging.getLogger("cisgraph.api")

JSON_TYPE = "application/json"
VCF_TYPES = frozenset({"text/x-vcf", "application/gzip"})
"""A VCF as text, or compressed with gzip or bgzip; which it is, is told by its bytes."""

OPEN_PATHS = frozenset({"/api/health"})
"""What needs no token."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """The layer around the application.

    Parameters
    ----------
    app
        What answers the requests that pass.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["request_id"] = request_id
        line = _LogLine(scope, request_id)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                line.status = message["status"]
                own = [*_HEADERS, (b"x-request-id", request_id.encode())]
                held = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"], *(h for h in own if h[0] not in held)
                ]  # fmt: skip
            elif message["type"] == "http.response.body":
                line.size += len(message.get("body", b""))
                line.is_complete = not message.get("more_body", False)
            await send(message)

        try:
            try:
                self._check(scope, headers)
            except Problem as problem:
                response = respond(problem, scope["path"], request_id)
                await response(scope, receive, answer)
                return
            await self._app(scope, self._limited(receive, headers), answer)
        except Exception as error:
            # Raised to the server only where an answer breaks off: the framework raises
            # once more what it has answered and logged.
            if line.is_complete:
                return
            if line.status is not None:
                raise
            response = respond(problem_of(error), scope["path"], request_id)
            await response(scope, receive, answer)
        finally:
            line.write()

    def _check(self, scope: Scope, headers: MutableMapping[str, str]) -> None:
        host = headers.get("host", "")
        if _without_port(host).lower() not in self._settings.hosts:
            raise Problem(
                "wrong-host",
                f"no host {host[:100]!r} is served here; --allow-host adds a name",
            )
        origin = headers.get("origin")
        # An older browser without Sec-Fetch-Site sends Origin with what can change things.
        if (origin is not None and urlsplit(origin).netloc != host) or headers.get(
            "sec-fetch-site", "none"
        ) not in {"none", "same-origin"}:
            raise Problem(
                "foreign-origin", "call this server from a program, not from a web page"
            )
        token = self._settings.token
        if token is not None and scope["path"] not in OPEN_PATHS:
            scheme, _, sent = headers.get("authorization", "").partition(" ")
            known = hmac.compare_digest(sent.strip().encode(), token.encode())
            if scheme.lower() != "bearer" or not known:
                raise Problem(
                    "no-token", "send 'Authorization: Bearer TOKEN'",
                    headers={"WWW-Authenticate": "Bearer"},
                )  # fmt: skip
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise Problem("bad-request", "Content-Length is no number")
        has_body = length != "0" or "transfer-encoding" in headers
        sent_type = media_type(headers)
        if has_body and sent_type not in {JSON_TYPE, *VCF_TYPES}:
            taken = ", ".join([JSON_TYPE, *sorted(VCF_TYPES)])
            raise Problem("wrong-type", f"{sent_type[:80]!r} is not among {taken}")
        if int(length) > self._most(headers):
            raise self._too_large(headers)

    def _most(self, headers: MutableMapping[str, str]) -> int:
        limits = self._settings.limits
        is_vcf = media_type(headers) in VCF_TYPES
        return limits.upload_bytes if is_vcf else limits.json_bytes

    def _too_large(self, headers: MutableMapping[str, str]) -> Problem:
        return Problem(
            "too-large",
            f"more than {self._most(headers):,} bytes; compress a VCF, split it, or score "
            "it on the machine itself with 'python -m variant_effect.score'",
        )

    def _limited(self, receive: Receive, headers: MutableMapping[str, str]) -> Receive:
        size, until = 0, time.monotonic() + self._settings.limits.body_s
        is_whole = False

        async def limited() -> Message:
            nonlocal size, is_whole
            if is_whole:  # what is waited for now is the client's leaving
                return await receive()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise Problem("too-slow", "send it faster, or compressed") from None
            size += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if size > self._most(headers):
                raise self._too_large(headers)
            return message

        return limited


def media_type(headers: MutableMapping[str, str]) -> str:
    """Return the content type without its parameters, lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _without_port(host: str) -> str:
    return (
        host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    )


class _LogLine:
    """One line of the log for one request; nothing a client sent stands in it raw."""

    def __init__(self, scope: Scope, request_id: str) -> None:
        self._began = time.perf_counter()
        client: Any = scope.get("client")
        self._words = (
            request_id, client[0] if client else "-", scope["method"],
            ascii(scope["path"])[1:-1][:200],
        )  # fmt: skip
        self.status: int | None = None
        self.size = 0
        self.is_complete = False

    def write(self) -> None:
        """Write it."""
        took_ms = (time.perf_counter() - self._began) * 1000
        log.info(
            "request=%s client=%s %s %s status=%s bytes=%d ms=%.1f",
            *self._words, self.status, self.size, took_ms,
        )  # fmt: skip
