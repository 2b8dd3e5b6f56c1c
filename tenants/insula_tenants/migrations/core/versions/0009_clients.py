"""Clients' secrets, keys and consents."""

from alembic import op

revision = "0009"
down_revision = "0008"

SCHEMA = """
ALTER TABLE oauth_clients
    ADD COLUMN auth_method text NOT NULL DEFAULT 'client_secret_basic'
        CHECK (auth_method IN ('client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none')),
    ADD COLUMN application_type text NOT NULL DEFAULT 'web' CHECK (application_type IN ('web', 'native')),
    ADD COLUMN jwks jsonb,
    ADD COLUMN first_party boolean NOT NULL DEFAULT false,
    ADD COLUMN created_by text,
    ADD COLUMN disabled_at timestamptz,
    ALTER COLUMN secret_hash SET DEFAULT '',
    ADD CONSTRAINT oauth_clients_keys CHECK ((auth_method = 'private_key_jwt') = (jwks IS NOT NULL)),
    ADD CONSTRAINT oauth_clients_public
        CHECK (auth_method <> 'none' OR NOT 'client_credentials' = ANY (grant_types));
UPDATE oauth_clients SET first_party = true WHERE tenant_id IS NULL;
CREATE INDEX oauth_clients_tenant ON oauth_clients (tenant_id);
CREATE INDEX oauth_grants_client ON oauth_grants (client_id);
COMMENT ON COLUMN oauth_clients.jwks IS 'public keys of private_key_jwt, never fetched from an address';
COMMENT ON COLUMN oauth_clients.first_party IS 'the operator''s own: people are not asked for their consent';
COMMENT ON COLUMN oauth_clients.created_by IS 'kind and id of who made it, as the audit log names them';
COMMENT ON COLUMN oauth_clients.disabled_at IS 'since when nothing it holds is good for anything; null while it works';
COMMENT ON COLUMN oauth_clients.secret_hash IS 'of the release before this one; see oauth_client_secrets';

CREATE TABLE oauth_client_secrets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    client_id text NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    secret_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    UNIQUE (client_id, secret_hash)
);
COMMENT ON TABLE oauth_client_secrets IS 'several at once while one takes the place of another';
INSERT INTO oauth_client_secrets (client_id, secret_hash, created_at)
    SELECT client_id, secret_hash, created_at FROM oauth_clients WHERE secret_hash <> '';

CREATE TABLE oauth_client_assertions (
    client_id text NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    jti_hash text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti_hash)
);
COMMENT ON TABLE oauth_client_assertions IS 'assertions of private_key_jwt that were used, until they expire';

CREATE TABLE oauth_consents (
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    client_id text NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    scope text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, client_id, tenant_id)
);
CREATE INDEX oauth_consents_client ON oauth_consents (client_id);
CREATE INDEX oauth_consents_tenant ON oauth_consents (tenant_id);
COMMENT ON TABLE oauth_consents IS 'what a person lets a client that is not the operator''s do for them';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
