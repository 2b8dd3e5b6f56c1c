"""Settings of the analytics UI, read from the environment as `INSULA_<NAME>`.

The client secret may also be in the file that `INSULA_UI_CLIENT_SECRET_FILE` names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict


def _origin(url: str) -> str:
    """`url` without a trailing slash, when it is a scheme and a host and nothing else."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        msg = "give a URL such as https://building.example.org"
        raise ValueError(msg)
    if parts.path not in {"", "/"}:
        msg = "give the URL of a host, without a path"
        raise ValueError(msg)
    return f"{parts.scheme}://{parts.netloc}"


Origin = Annotated[str, AfterValidator(_origin)]


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


class UiSettings(BaseSettings):
    """Where the platform is, where this UI is, and who it is to the platform's sign-in."""

    model_config = SettingsConfigDict(env_prefix="INSULA_", extra="ignore", hide_input_in_errors=True)

    platform_url: Origin = Field(
        default="http://127.0.0.1:8000",
        description="The platform as browsers reach it: the issuer of its tokens.",
    )
    api_url: Origin | None = Field(
        default=None, description="The platform as this server reaches it; by default as browsers do."
    )
    ui_url: Origin = Field(
        default="http://127.0.0.1:8501", description="This UI as browsers reach it: a host of its own."
    )
    ui_client_id: str = Field(default="insula-ui", min_length=1, description="The UI's OAuth client.")
    ui_client_secret: SecretStr = Field(description="The secret of the UI's OAuth client.")
    ui_session_hours: float = Field(
        default=12, gt=0, le=720, description="Hours after which a person must sign in again."
    )

    @property
    def inside_url(self) -> str:
        """The platform as this server reaches it."""
        return self.api_url or self.platform_url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 # pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the files it names."""
        return init_settings, env_settings, SecretFiles(settings_cls)
