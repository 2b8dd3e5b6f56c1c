"""TLS towards the broker, as the settings say."""

from __future__ import annotations

import ssl

from insula_tenants.errors import ConfigurationError
from insula_tenants.settings import TenantsSettings


def broker_tls(settings: TenantsSettings) -> ssl.SSLContext | None:
    """How the services connect to the broker: None in the clear, else a context that checks its certificate.

    Raises `ConfigurationError`, which names the setting, for a file that is missing or no PEM.
    """
    if not settings.mqtt_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.mqtt_ca_file)
    except (OSError, ssl.SSLError) as error:
        msg = f"INSULA_MQTT_CA_FILE: {settings.mqtt_ca_file} holds no certificates in PEM: {error}"
        raise ConfigurationError(msg) from None
    if settings.mqtt_cert_file is not None:
        try:
            context.load_cert_chain(settings.mqtt_cert_file, settings.mqtt_key_file)
        except (OSError, ssl.SSLError) as error:
            msg = (
                f"INSULA_MQTT_CERT_FILE: {settings.mqtt_cert_file} and {settings.mqtt_key_file} are no "
                f"certificate and its private key in PEM: {error}"
            )
            raise ConfigurationError(msg) from None
    return context
