"""Where letters go: to a mail server by SMTP, or into a directory where a developer reads them."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from insula_platform.mail.models import StoredLetter
from insula_platform.settings import PlatformSettings

Transport = Callable[[EmailMessage], None]
"""Takes a message away for good. Raises `Refused`, or `OSError` when another try may succeed."""

_TIMEOUT = 20
"""Seconds the mail server has for each answer."""


class Refused(Exception):
    """The mail server does not take this letter, today or tomorrow."""


def transport(settings: PlatformSettings) -> Transport | None:
    """The way out that the settings name; None when there is none, and letters wait."""
    if settings.smtp_host is not None:
        return partial(_send, settings, settings.smtp_host)
    if settings.mail_dir is not None:
        return partial(_write, settings.mail_dir)
    return None


def message(settings: PlatformSettings, letter: StoredLetter) -> EmailMessage:
    """The letter as an Internet message (RFC 5322). `ValueError` when the recipient is no single address."""
    written = EmailMessage()
    written["From"] = settings.mail_sender
    written["To"] = Address(addr_spec=letter.recipient)
    written["Subject"] = letter.subject
    written["Date"] = format_datetime(letter.created_at.astimezone(UTC))
    # A letter that is sent twice, because its server's answer was lost, can be known by its id.
    written["Message-ID"] = f"<{letter.id}@{settings.mail_domain}>"
    written["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note in return
    written.set_content(letter.body or "")
    return written


def _send(settings: PlatformSettings, host: str, letter: EmailMessage) -> None:
    # The system's certificate authorities, host name checked.
    trusted = ssl.create_default_context()
    try:
        with _connect(settings, host, trusted) as server:
            if settings.smtp_tls == "starttls":
                server.starttls(context=trusted)
            if settings.smtp_username is not None:
                password = settings.smtp_password
                server.login(settings.smtp_username, password.get_secret_value() if password else "")
            server.send_message(letter)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        _refused(code, said)
    except smtplib.SMTPDataError as error:
        _refused(error.smtp_code, error.smtp_error)
    # What else the server refuses, as a sender or a password, is ours to mend and no fault of the letter.


def _refused(code: int, said: bytes | str) -> NoReturn:
    """Raise what the server's answer means: by RFC 5321, 4.2.1, codes from 500 on are final."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    if code >= 500:
        raise Refused(f"{code} {text}") from None
    raise OSError(f"{code} {text}") from None


def _connect(settings: PlatformSettings, host: str, trusted: ssl.SSLContext) -> smtplib.SMTP:
    if settings.smtp_tls == "tls":
        return smtplib.SMTP_SSL(host, settings.smtp_port, timeout=_TIMEOUT, context=trusted)
    return smtplib.SMTP(host, settings.smtp_port, timeout=_TIMEOUT)


def _write(directory: Path, letter: EmailMessage) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    name = letter["Message-ID"].strip("<>").partition("@")[0]
    draft = directory / f"{name}.new"
    draft.touch(mode=0o600)
    draft.write_bytes(letter.as_bytes())
    draft.replace(directory / f"{name}.eml")
