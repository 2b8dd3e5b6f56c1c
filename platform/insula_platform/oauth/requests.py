"""From Starlette's requests to those Authlib understands.

Parameters are read from one place only: the query of the authorization request, the form body of all others.
Each may be given once (RFC 6749, section 3.1), and an empty one counts as absent.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from fastapi import Depends, Request

from insula_platform.state import CurrentPlatform

MAX_BODY = 64 * 1024
"""Bytes of a form that are read; a real one has a few hundred."""

_ECHOED = frozenset({"client_id", "response_type", "grant_type", "redirect_uri", "scope"})
"""Authlib repeats these in error descriptions, which must not hold a quote, a backslash or non-ASCII."""


class ProviderRequest(OAuth2Request):  # type: ignore[misc] # Authlib ships no types
    """An OAuth request with its parameters in hand."""

    def __init__(
        self, method: str, uri: str, headers: dict[str, str], parameters: dict[str, str], address: str = ""
    ) -> None:
        """`headers` by their usual names, `parameters` already checked, `address` where it came from."""
        super().__init__(method, uri, headers=headers)
        self.address = address
        self.payload = BasicOAuth2Payload(parameters)

    @property
    def args(self) -> dict[str, str]:
        return self.payload.data if self.method == "GET" else {}

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data if self.method == "POST" else {}


def read_parameters(encoded: bytes) -> dict[str, str]:
    """The parameters of a query or a form; raises Authlib's `InvalidRequestError`."""
    try:
        pairs = parse_qsl(encoded.decode("ascii"), errors="strict", max_num_fields=50)
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequestError("The parameters are not a form in UTF-8.") from None
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise InvalidRequestError("A parameter is given more than once.")
        if name in _ECHOED and not _is_plain(value):
            raise InvalidRequestError(f"Characters in {name} are not allowed.")
        if "\x00" in value:
            raise InvalidRequestError("A parameter has a NUL character.")
        parameters[name] = value
    return parameters


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and not {'"', "\\"} & set(value)


async def form_body(request: Request) -> bytes | None:
    """The body of a form; None when it is no form or too long."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


FormBody = Annotated[bytes | None, Depends(form_body)]


def posted(
    request: Request, platform: CurrentPlatform, body: FormBody
) -> ProviderRequest | InvalidRequestError:
    """A POST as Authlib wants it, or the error to answer with: the query must be empty (RFC 6749, 3.2)."""
    if request.scope["query_string"]:
        return InvalidRequestError("Send all parameters in the body, none in the query.")
    if body is None:
        return InvalidRequestError("Send the parameters as application/x-www-form-urlencoded.")
    return _build(request, platform, body)


def queried(request: Request, platform: CurrentPlatform) -> ProviderRequest | InvalidRequestError:
    """A GET as Authlib wants it, or the error to answer with."""
    return _build(request, platform, request.scope["query_string"])


def _build(
    request: Request, platform: CurrentPlatform, encoded: bytes
) -> ProviderRequest | InvalidRequestError:
    try:
        parameters = read_parameters(encoded)
    except InvalidRequestError as error:
        return error
    # The public URL, not the one a proxy used: Authlib insists on https.
    uri = platform.settings.public_url + request.url.path
    headers = {"Authorization": request.headers.get("Authorization", "")}
    address = request.client.host if request.client else ""
    return ProviderRequest(request.method, uri, headers, parameters, address)


Posted = Annotated[ProviderRequest | InvalidRequestError, Depends(posted)]
Queried = Annotated[ProviderRequest | InvalidRequestError, Depends(queried)]
