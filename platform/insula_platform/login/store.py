"""Where a login is kept between commands: one file, which nobody else can read."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError, field_serializer

from insula_tenants.errors import ConfigurationError


class Login(BaseModel):
    """What a login is good for, and its tokens."""

    url: str
    """The platform, as its issuer is written."""
    tenant: str
    access_token: SecretStr
    expires_at: float
    """When the access token does, in seconds since the epoch."""
    refresh_token: SecretStr

    @field_serializer("access_token", "refresh_token", when_used="json")
    def _written(self, token: SecretStr) -> str:
        return token.get_secret_value()


def login_file() -> Path:
    """`insula/login.json` in the person's configuration, by the XDG Base Directory Specification."""
    configured = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (configured if configured.is_absolute() else Path.home() / ".config") / "insula" / "login.json"


@contextmanager
def locked() -> Iterator[None]:
    """A block that no other command runs at the same time: a refresh token is good for one use."""
    file = login_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_login() -> Login | None:
    """The login, None when there is none. Raises `ConfigurationError` when its file is open to others."""
    file = login_file()
    try:
        with file.open(encoding="utf-8") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise ConfigurationError(f"others can read {file}: sign in anew, and chmod 600 it")
            return Login.model_validate_json(opened.read())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise ConfigurationError(f"{file} is damaged: delete it, and sign in anew") from None


def write_login(login: Login) -> None:
    """Keep a login in place of the one before: whole, or not at all."""
    file = login_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".login")  # 0600 from its first moment
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(login.model_dump_json())
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def forget_login() -> None:
    """Delete the file."""
    login_file().unlink(missing_ok=True)
