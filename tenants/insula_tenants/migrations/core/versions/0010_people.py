"""People's second factors, addresses, sessions and letters."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
ALTER TABLE accounts ADD COLUMN email_verified_at timestamptz;
COMMENT ON COLUMN accounts.email_verified_at IS 'when a link that was sent to the address was followed';

ALTER TABLE signin_sessions
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN amr text[] NOT NULL DEFAULT '{pwd}',
    ADD COLUMN user_agent text NOT NULL DEFAULT '',
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN last_seen_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX signin_sessions_account ON signin_sessions (account_id);
COMMENT ON COLUMN signin_sessions.id IS 'by which the session is listed and ended; the cookie holds another';
COMMENT ON COLUMN signin_sessions.amr IS 'how the person proved who they are, in the words of RFC 8176';

ALTER TABLE oauth_grants
    ADD COLUMN signin_id uuid REFERENCES signin_sessions (id) ON DELETE SET NULL,
    ADD COLUMN amr text[] NOT NULL DEFAULT '{pwd}';
CREATE INDEX oauth_grants_signin ON oauth_grants (signin_id);
COMMENT ON COLUMN oauth_grants.signin_id IS 'the session it was given in: who ends that one ends this too';

CREATE TABLE letters (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    failed_at timestamptz,
    error text,
    CHECK (body IS NOT NULL OR sent_at IS NOT NULL OR failed_at IS NOT NULL)
);
CREATE INDEX letters_waiting ON letters (next_attempt_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX letters_tenant ON letters (tenant_id) WHERE tenant_id IS NOT NULL;
COMMENT ON COLUMN letters.tenant_id IS 'of a letter that speaks of a tenant: it goes with it';
COMMENT ON COLUMN letters.body IS 'null once it is sent or given up: it may hold a link that lets someone in';

CREATE TABLE email_links (
    token_hash text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('verify', 'change', 'reset')),
    email text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    UNIQUE (account_id, purpose)
);
COMMENT ON TABLE email_links IS 'links on their way to an address: good for one use, and the newest alone';

CREATE TABLE totp_factors (
    account_id uuid PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    secret_sealed bytea NOT NULL,
    last_step bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz
);
COMMENT ON COLUMN totp_factors.secret_sealed IS 'Fernet, under INSULA_SECRET_KEY';
COMMENT ON COLUMN totp_factors.last_step IS 'the time step whose code was taken last: no code is good twice';
COMMENT ON COLUMN totp_factors.confirmed_at IS 'null until a first code has shown that the app has the secret';

CREATE TABLE passkeys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    credential_id bytea NOT NULL UNIQUE,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    transports text[] NOT NULL DEFAULT '{}',
    is_synced boolean NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
CREATE INDEX passkeys_account ON passkeys (account_id);

CREATE TABLE recovery_codes (
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    code_hash text NOT NULL,
    PRIMARY KEY (account_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'those that were not used yet';

CREATE TABLE passkey_challenges (
    browser_hash text PRIMARY KEY,
    challenge bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE passkey_challenges IS 'what a browser is to have signed by a passkey: the newest alone, once';

CREATE TABLE signin_steps (
    id_hash text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    amr text[] NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE signin_steps IS 'browsers in which the password was right, and the second factor is still asked';

CREATE TABLE signin_attempts (
    counted text PRIMARY KEY,
    attempts int NOT NULL,
    ends_at timestamptz NOT NULL
);
CREATE INDEX signin_attempts_ends ON signin_attempts (ends_at);
COMMENT ON TABLE signin_attempts IS 'attempts in a window of time, by the hash of what they are counted for';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
