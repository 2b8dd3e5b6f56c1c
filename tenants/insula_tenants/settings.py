"""Settings shared by every service that opens the database or speaks to the broker.

Each setting is read from the environment as `INSULA_<NAME>`, or, for a secret in a file, from the file
that `INSULA_<NAME>_FILE` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from insula_tenants.errors import ConfigurationError

MAIN = "main"
"""Name of the database that holds the registry, and tenants that were placed nowhere else."""


class SecretFiles(EnvSettingsSource):
    """Reads `INSULA_X` from the file that `INSULA_X_FILE` names, without its last line break."""

    def __call__(self) -> dict[str, object]:
        """The values found in files, by field name."""
        found: dict[str, object] = {}
        for name in self.settings_cls.model_fields:
            path = self.env_vars.get(f"{self.env_prefix}{name}_file".lower())
            if path:
                found[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        return found


class InsulaSettings(BaseSettings):
    """Base of every service's settings: where they come from, and in which order."""

    model_config = SettingsConfigDict(env_prefix="INSULA_", extra="ignore", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the files it names."""
        return init_settings, env_settings, SecretFiles(settings_cls)


class TenantsSettings(InsulaSettings):
    """How to reach the database and the broker."""

    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL URL of the services' login, which can read nothing by itself.",
    )
    database_admin_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL URL of the login that migrates and creates tenants: it owns the database "
        "and may create roles.",
    )
    database_urls: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further databases that tenants may be placed in: services' PostgreSQL URLs by name, "
        "as JSON.",
    )
    database_admin_urls: dict[str, SecretStr] = Field(
        default_factory=dict, description="The administrators' URLs of the same databases, as JSON."
    )
    database_pool_size: int = Field(
        default=8, ge=1, le=200, description="Connections per process and database."
    )
    mqtt_host: str = Field(default="127.0.0.1", description="Host name of the MQTT broker.")
    mqtt_port: int = Field(default=1883, ge=1, le=65535, description="Port of the MQTT broker.")
    mqtt_tls: bool = Field(default=False, description="Whether the services speak TLS to the broker.")
    mqtt_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that the broker's certificate is checked against, which "
        "devices are told too; without it the services trust the system's.",
    )
    mqtt_cert_file: Path | None = Field(
        default=None,
        description="PEM file of the services' own certificate, for a listener that asks for one.",
    )
    mqtt_key_file: Path | None = Field(default=None, description="PEM file of its private key.")
    mqtt_public_host: str | None = Field(
        default=None, description="Host name of the broker as devices are told it; as the services' without."
    )
    mqtt_public_port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port as devices are told it; as the services' without."
    )
    mqtt_public_tls: bool | None = Field(
        default=None, description="Whether devices are told to speak TLS; as the services do without."
    )
    mqtt_version: Literal["5", "3.1.1"] = Field(
        default="5", description="Protocol towards the broker. 3.1.1 is for brokers without MQTT 5."
    )
    broker_access: str = Field(
        default="none",
        pattern="^(dynamic-security|x509|http|none)$",
        description="How the broker knows devices: by Mosquitto's `dynamic-security` plugin, by certificates "
        "(`x509`), by asking the API over `http`, or `none` for the embedded amqtt, which asks the registry. "
        "See docs/broker.md.",
    )
    broker_admin_username: str = Field(
        default="insula-control", description="The broker login that provisions."
    )
    broker_admin_password: SecretStr | None = Field(default=None, description="Its password.")
    ingest_max_points_per_device: int = Field(
        default=200,
        ge=1,
        description="Points a device may make by naming them in its telemetry, or in a backfill of it.",
    )
    dead_letters_rows: int = Field(
        default=10_000, ge=1, description="Dead letters that are kept of a tenant; the oldest go first."
    )
    dead_letters_bytes: int = Field(
        default=64 * 1024 * 1024, ge=65_536, description="Bytes of their payloads that are kept of a tenant."
    )

    @property
    def devices_broker(self) -> tuple[str, int, bool]:
        """Host, port and whether to speak TLS, as devices are told."""
        return (
            self.mqtt_public_host or self.mqtt_host,
            self.mqtt_public_port or self.mqtt_port,
            self.mqtt_tls if self.mqtt_public_tls is None else self.mqtt_public_tls,
        )

    def service_urls(self) -> dict[str, str]:
        """The services' URL of every database, by name; `ConfigurationError` without the first, `main`."""
        return {MAIN: self.require_database_url(), **_revealed(self.database_urls)}

    def admin_urls(self) -> dict[str, str]:
        """The administrator's URL of every database, by name; `ConfigurationError` where one is missing."""
        urls = {MAIN: self.require_database_admin_url(), **_revealed(self.database_admin_urls)}
        if missing := self.database_urls.keys() - urls.keys():
            msg = f"INSULA_DATABASE_ADMIN_URLS has no URL for {', '.join(sorted(missing))}"
            raise ConfigurationError(msg)
        return urls

    def require_database_url(self) -> str:
        """The services' database URL, or `ConfigurationError`."""
        if self.database_url is None:
            msg = "INSULA_DATABASE_URL is not set: give the services' PostgreSQL URL, or run `insula demo`"
            raise ConfigurationError(msg)
        return self.database_url.get_secret_value()

    def require_database_admin_url(self) -> str:
        """The administrator's database URL, or `ConfigurationError`."""
        if self.database_admin_url is None:
            msg = "INSULA_DATABASE_ADMIN_URL is not set: this command changes schemas and roles"
            raise ConfigurationError(msg)
        return self.database_admin_url.get_secret_value()


def _revealed(secrets: dict[str, SecretStr]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items()}
