"""A browser at one of our pages: what it sent, who it is, and the page it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import Depends, Request
from fastapi.responses import Response

from insula_platform.oauth.requests import FormBody, read_parameters
from insula_platform.people import Account
from insula_platform.signin import forms, sessions
from insula_platform.signin.pages import page
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.audit import Actor


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a browser, made by `Opened` or `Sent`."""

    request: Request
    platform: Platform
    given: dict[str, str] = field(default_factory=dict)
    """The fields of the form, empty when it was damaged: then it is not ours either."""

    @property
    def address(self) -> str:
        """Where the browser is."""
        return sessions.address_of(self.request)

    @property
    def is_own_form(self) -> bool:
        """Whether what was sent is a form that we gave to this very browser (no CSRF)."""
        return forms.is_own_form(self.platform.settings, self.request, self.given.get("form_token"))

    def actor(self, account: Account) -> Actor:
        """The person, as the audit log names them."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        return Actor("person", str(account.id), self.address, request_id)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        has_script: bool = False,
        retry_after: int | None = None,
        **values: Any,
    ) -> Response:
        """A page with a form of ours in it: the template finds its `form_token`. `retry_after` in seconds."""
        settings = self.platform.settings
        secret = forms.form_secret(settings, self.request)
        response = page(
            settings,
            template,
            status=status,
            has_script=has_script,
            form_token=forms.form_token(settings, secret),
            **values,
        )
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        sessions.set_cookie(response, settings, forms.COOKIE, secret, forms.LIFETIME)
        return response


def _opened(request: Request, platform: CurrentPlatform) -> Visit:
    return Visit(request, platform)


def _sent(request: Request, platform: CurrentPlatform, body: FormBody) -> Visit:
    try:
        return Visit(request, platform, read_parameters(body or b""))
    except InvalidRequestError:
        return Visit(request, platform)


Opened = Annotated[Visit, Depends(_opened)]
"""`visit: Opened` in a route of a page."""

Sent = Annotated[Visit, Depends(_sent)]
"""`visit: Sent` in a route that takes a form. It must ask `is_own_form` before it does anything."""


def sentence(detail: str) -> str:
    """An error's detail as people read it."""
    return f"{detail[:1].upper()}{detail[1:]}."
