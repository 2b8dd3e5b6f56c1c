"""The tenants' certificate authorities, and the certificates they issued to devices."""

from alembic import op

revision = "0013"
down_revision = "0012"

SCHEMA = """
CREATE TABLE certificate_authorities (
    tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    key_id text NOT NULL UNIQUE,
    certificate text NOT NULL,
    sealed_key bytea NOT NULL,
    revision bigint NOT NULL DEFAULT 1,
    crl bytea,
    crl_revision bigint NOT NULL DEFAULT 0,
    crl_number bigint NOT NULL DEFAULT 0,
    crl_made_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN certificate_authorities.key_id IS 'subject key identifier, in hexadecimal';
COMMENT ON COLUMN certificate_authorities.sealed_key IS 'private key, sealed under INSULA_SECRET_KEY';
COMMENT ON COLUMN certificate_authorities.revision IS 'grows with each revocation; the list is made anew when its revision is another';

CREATE TABLE device_certificates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES certificate_authorities ON DELETE CASCADE,
    device text NOT NULL,
    serial text NOT NULL,
    fingerprint bytea NOT NULL UNIQUE,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    renewed boolean NOT NULL,
    revoked_at timestamptz,
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, serial)
);
CREATE INDEX device_certificates_device ON device_certificates (tenant_id, device);
CREATE INDEX device_certificates_revoked ON device_certificates (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX device_certificates_end ON device_certificates (not_after);
COMMENT ON COLUMN device_certificates.serial IS 'in hexadecimal';
COMMENT ON COLUMN device_certificates.fingerprint IS 'SHA-256 of the certificate in DER';
COMMENT ON COLUMN device_certificates.renewed IS 'whether the device asked for it with the one before';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
