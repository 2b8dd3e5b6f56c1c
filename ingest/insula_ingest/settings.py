"""Settings of the ingest service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from insula_tenants.settings import TenantsSettings


class IngestSettings(TenantsSettings):
    """How messages are received and how they are brought together."""

    mqtt_username: str = Field(default="insula-ingest", description="The broker login of the ingest service.")
    mqtt_password: SecretStr | None = Field(default=None, description="Its password.")
    ingest_client_id: str = Field(
        default="insula-ingest-0",
        description="MQTT client id. The broker keeps this client's session while it is away, so each ingest "
        "process has one of its own, the same after every restart.",
    )
    ingest_share: bool = Field(
        default=False,
        description="Share the messages with further ingest processes (`$share/ingest/…`, MQTT 5). Mosquitto "
        "forgets shared subscriptions when it restarts: see docs/decisions/0005.",
    )
    ingest_ready_file: Path | None = Field(
        default=None, description="This file is there while ingest is subscribed: for a readiness probe."
    )
    ingest_receive_maximum: int = Field(
        default=20_000, ge=1, le=65535, description="Messages in flight: received, and not stored yet."
    )
    ingest_memory_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        description="Bytes of payloads in flight. With so many, nothing more is read from the broker until "
        "some are stored.",
    )
    ingest_batch_messages: int = Field(
        default=8000, ge=1, description="A batch closes with this many messages."
    )
    ingest_batch_seconds: float = Field(
        default=0.2,
        gt=0,
        description="A batch closes at most this many seconds after its first message; sooner while the "
        "database has nothing to do.",
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port that serves Prometheus metrics; none when unset."
    )
    ingest_max_payload_bytes: int = Field(
        default=1_048_576, ge=1024, description="A larger payload is a dead letter, its beginning kept."
    )
