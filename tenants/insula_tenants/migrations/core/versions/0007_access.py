"""Grants that cover some buildings only, and API keys."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
ALTER TABLE memberships
    ADD COLUMN places jsonb,
    ADD CONSTRAINT memberships_places_check CHECK (
        places IS NULL OR jsonb_typeof(places) = 'object' AND role IN ('engineer', 'viewer')
    );
COMMENT ON COLUMN memberships.places IS
    'ids of sites, buildings, storeys and spaces in the tenant''s schema; null is the whole tenant, and an id that is gone covers nothing';

ALTER TABLE invitations
    ADD COLUMN places jsonb,
    ADD COLUMN invited_by uuid,
    ADD CONSTRAINT invitations_places_check CHECK (
        places IS NULL OR jsonb_typeof(places) = 'object' AND role IN ('engineer', 'viewer')
    );
COMMENT ON COLUMN invitations.invited_by IS 'account; no reference: the invitation outlives it';

ALTER TABLE oauth_clients ADD COLUMN places jsonb;
COMMENT ON COLUMN oauth_clients.places IS 'of a service client: as memberships.places';

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    name text NOT NULL,
    key_hash text NOT NULL UNIQUE,
    hint text NOT NULL,
    scope text NOT NULL,
    places jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    FOREIGN KEY (account_id, tenant_id) REFERENCES memberships ON DELETE CASCADE
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id, created_at, id);
CREATE INDEX api_keys_account ON api_keys (account_id, tenant_id);
COMMENT ON TABLE api_keys IS 'a member''s key for a program: it goes when the member goes';
COMMENT ON COLUMN api_keys.hint IS 'the first characters, by which people know it again';
COMMENT ON COLUMN api_keys.last_used_at IS 'to the minute';

ALTER TABLE audit_log
    DROP CONSTRAINT audit_log_actor_kind_check,
    ADD CONSTRAINT audit_log_actor_kind_check CHECK (actor_kind IN ('person', 'client', 'key', 'operator', 'system'));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
