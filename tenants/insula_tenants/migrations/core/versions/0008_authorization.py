"""What the OAuth provider keeps beyond codes and refresh tokens."""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
CREATE TABLE revoked_tokens (
    jti text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX revoked_tokens_expires ON revoked_tokens (expires_at);
COMMENT ON TABLE revoked_tokens IS 'access tokens of programs, called back before their time; people''s end with their grant';

CREATE TABLE oauth_device_codes (
    device_code_hash text PRIMARY KEY,
    user_code_hash text NOT NULL UNIQUE,
    client_id text NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    scope text NOT NULL,
    tenant text,
    address text,
    poll_interval integer NOT NULL DEFAULT 5,
    polled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    denied_at timestamptz,
    grant_id uuid REFERENCES oauth_grants ON DELETE CASCADE,
    redeemed_at timestamptz
);
CREATE INDEX oauth_device_codes_grant ON oauth_device_codes (grant_id);
COMMENT ON COLUMN oauth_device_codes.tenant IS 'slug of the tenant the device asked for; the person decides';
COMMENT ON COLUMN oauth_device_codes.poll_interval IS 'seconds; grows when the device asks too often';
COMMENT ON COLUMN oauth_device_codes.grant_id IS 'set when the person has allowed it';

ALTER TABLE signing_keys ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now();
UPDATE signing_keys SET signs_from = created_at;
COMMENT ON COLUMN signing_keys.signs_from IS 'published from its creation on, so that everybody knows it by then';

CREATE TABLE retired_signing_keys (
    kid text PRIMARY KEY,
    public_jwk jsonb NOT NULL,
    signs_from timestamptz NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE retired_signing_keys IS 'no token is believed by these; what was signed to be kept can still be checked';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
