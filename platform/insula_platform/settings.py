"""Settings of the platform: where it is reached, what it signs with, how long its tokens live."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from insula_tenants.settings import TenantsSettings


class AddressSettings(TenantsSettings):
    """Where people reach the platform: all that a command needs to write a link."""

    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="The URL people and programs reach the platform at, without a path: the OAuth issuer. "
        "Plain http is accepted on a loopback address alone.",
    )

    @field_validator("public_url", "ui_url", check_fields=False)
    @classmethod
    def _origin(cls, value: str) -> str:
        """The URL's origin: tokens and redirects stand on it, so it must be exact and safe."""
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
            raise ValueError("give a URL like https://insula.example.com")
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError("give the URL without path, query and fragment: a host of its own")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("use https: plain http is accepted on a loopback address alone")
        return f"{parts.scheme}://{parts.netloc.lower()}"


class PlatformSettings(AddressSettings):
    """What the API, the sign-in pages and the OAuth provider need to know."""

    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8000, ge=1, le=65535, description="Port the API listens on.")
    secret_key: SecretStr = Field(
        min_length=32,
        description="At least 32 random characters. Seals the signing keys at rest: back it up apart.",
    )
    ui_url: str = Field(
        default="http://127.0.0.1:8501", description="The URL of the analytics UI, without a path."
    )
    ui_client_secret: SecretStr | None = Field(
        default=None, min_length=32, description="The OAuth client secret of the analytics UI."
    )
    access_token_lifetime: int = Field(
        default=600, ge=60, le=3600, description="Seconds an access token is valid."
    )
    refresh_token_lifetime: int = Field(
        default=30 * 86400, ge=600, description="Seconds a refresh token may lie unused."
    )
    key_lead_time: int = Field(
        default=86400,
        ge=600,
        description="Seconds a new signing key is published before it signs: longer than others rely on the "
        "keys they have read.",
    )
    key_overlap: int = Field(
        default=86400,
        ge=2 * 3600,
        description="Seconds a signing key is believed when it signs no more: longer than a token lives.",
    )
    bundle_dir: Path = Field(
        default=Path("var/bundles"),
        description="Directory of tenants' exports, which API and worker share. They expire after 7 days.",
    )
    live_mqtt_username: str = Field(
        default="insula-platform",
        description="The broker login by which API and worker speak to devices, hear live values and have "
        "dead letters replayed.",
    )
    live_mqtt_password: SecretStr | None = Field(
        default=None,
        description="Its password. Without it devices are told nothing, and there are neither live values "
        "nor replays.",
    )
    certificate_days: int = Field(
        default=30, ge=1, le=825, description="Days that a device's certificate is good for."
    )
    renewal_host: str = Field(
        default="127.0.0.1", description="Address that devices renew their certificates at."
    )
    renewal_port: int = Field(
        default=8443, ge=1, le=65535, description="Its port: TLS, and only with a device's certificate."
    )
    renewal_cert_file: Path | None = Field(
        default=None, description="PEM file of the certificate that it shows, with its chain."
    )
    renewal_key_file: Path | None = Field(default=None, description="PEM file of its private key.")
    broker_callback_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="What a broker that asks over HTTP sends as its bearer token; without it the API answers "
        "no broker.",
    )
    broker_services: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Passwords of the services at a broker that asks over HTTP, by login, as a JSON object.",
    )
    live_streams_per_tenant: int = Field(
        default=50, ge=1, description="Streams of live values that a tenant may have open at an API process."
    )
    sso_private_networks: bool = Field(
        default=False,
        description="Whether tenants' identity providers may be at private addresses (RFC 1918, RFC 4193), "
        "as one in your own network is. Whoever sets up single sign-on can then make the platform ask there.",
    )
    dns_server: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Fa-f.:]+(#\d{1,5})?$",
        description="Address of the DNS server that proves tenants' domains: 192.0.2.53, or 192.0.2.53#5353; "
        "without it the system's are asked.",
    )
    signin_lifetime: int = Field(default=12 * 3600, ge=300, description="Seconds a person stays signed in.")
    smtp_host: str | None = Field(
        default=None,
        description="The mail server that takes letters to people. Without it they wait: `insula mail list`.",
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted: `starttls` (port 587), `tls` from the start "
        "(port 465), or `none`, for a server on this machine.",
    )
    smtp_username: str | None = Field(
        default=None, description="The login at the mail server, if it wants one."
    )
    smtp_password: SecretStr | None = Field(default=None, description="Its password.")
    mail_from: str | None = Field(
        default=None,
        description="The sender, like `Insula <no-reply@insula.example.com>`: required with a mail server.",
    )
    mail_dir: Path | None = Field(
        default=None,
        description="Directory to write letters into instead, for development. Their links let people in.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address the worker's metrics listen on.")
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the worker's Prometheus metrics; without it there are none.",
    )

    @model_validator(mode="after")
    def _sender(self) -> Self:
        if self.smtp_host is not None and self.mail_from is None:
            raise ValueError("INSULA_SMTP_HOST needs INSULA_MAIL_FROM: the address letters come from")
        return self

    @property
    def mail_sender(self) -> str:
        """The `From` of letters."""
        return self.mail_from or f"Insula <no-reply@{self.mail_domain}>"

    @property
    def mail_domain(self) -> str:
        """The domain of letters' ids."""
        return urlsplit(self.public_url).hostname or "localhost"

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the platform by https."""
        return self.public_url.startswith("https://")

    @property
    def ui_redirect_uri(self) -> str:
        """Where the analytics UI takes its authorization codes."""
        return f"{self.ui_url}/auth/callback"

    @property
    def api_audience(self) -> str:
        """The `aud` of access tokens: the API, not the provider."""
        return f"{self.public_url}/api"


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine, seen from itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
