"""Tenants' identity providers, domains and groups."""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
CREATE TABLE identity_providers (
    tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    issuer text NOT NULL,
    client_id text NOT NULL,
    client_secret_sealed bytea NOT NULL,
    scope text NOT NULL,
    verified_claim text NOT NULL,
    role_claim text,
    roles jsonb NOT NULL DEFAULT '{}',
    default_role text CHECK (default_role IN ('admin', 'engineer', 'viewer')),
    admits_new boolean NOT NULL,
    enforced boolean NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN identity_providers.client_secret_sealed IS 'Fernet, under INSULA_SECRET_KEY';
COMMENT ON COLUMN identity_providers.roles IS 'role by value of the claim, or by name of a group';

CREATE TABLE tenant_domains (
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    domain text NOT NULL CHECK (domain = lower(domain)),
    challenge text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    PRIMARY KEY (tenant_id, domain)
);
CREATE UNIQUE INDEX tenant_domains_verified ON tenant_domains (domain) WHERE verified_at IS NOT NULL;
COMMENT ON INDEX tenant_domains_verified IS 'anyone may claim a domain; one tenant proves it';

CREATE TABLE federated_identities (
    tenant_id uuid NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, issuer, subject),
    UNIQUE (tenant_id, issuer, account_id),
    FOREIGN KEY (account_id, tenant_id) REFERENCES memberships ON DELETE CASCADE
);
COMMENT ON TABLE federated_identities IS 'who a tenant''s provider means by a subject; goes with the membership';

CREATE TABLE federated_callbacks (
    state_hash text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE federated_callbacks IS 'answers that have signed somebody in: each serves once';

ALTER TABLE signin_sessions ADD COLUMN tenant_id uuid REFERENCES tenants ON DELETE CASCADE;
COMMENT ON COLUMN signin_sessions.tenant_id IS 'the one tenant that a session by its provider is good for';
CREATE INDEX signin_sessions_tenant ON signin_sessions (tenant_id) WHERE tenant_id IS NOT NULL;

CREATE TABLE scim_users (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    user_name text NOT NULL,
    external_id text,
    active boolean NOT NULL DEFAULT true,
    admitted boolean NOT NULL DEFAULT false,
    brought boolean NOT NULL DEFAULT false,
    attributes jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version bigint NOT NULL DEFAULT 1,
    UNIQUE (tenant_id, account_id)
);
CREATE UNIQUE INDEX scim_users_name ON scim_users (tenant_id, lower(user_name));
CREATE INDEX scim_users_external ON scim_users (tenant_id, external_id);
CREATE INDEX scim_users_account ON scim_users (account_id);
COMMENT ON COLUMN scim_users.admitted IS 'whether it was made a member: without a membership since, somebody removed it';
COMMENT ON COLUMN scim_users.brought IS 'whether the directory has written it: any member is a user before that';

CREATE TABLE scim_groups (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    display_name text NOT NULL,
    external_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version bigint NOT NULL DEFAULT 1
);
CREATE INDEX scim_groups_tenant ON scim_groups (tenant_id, id);

CREATE TABLE scim_group_members (
    group_id uuid NOT NULL REFERENCES scim_groups ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES scim_users ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX scim_group_members_user ON scim_group_members (user_id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
