"""A tenant's whole life: states, plans, usage, jobs, receipts, invitations, and the audit log."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
CREATE TABLE plans (
    name text PRIMARY KEY,
    quotas jsonb NOT NULL
);
COMMENT ON COLUMN plans.quotas IS 'limits by name (see insula_tenants.quotas); one that is missing is unlimited';
INSERT INTO plans (name, quotas) VALUES
    ('trial', '{"devices": 25, "points": 250, "tenant_messages_per_second": 50, "device_messages_per_second": 5,
        "tenant_values_per_second": 500, "device_values_per_second": 50, "api_requests_per_minute": 300,
        "retention_days": 90, "storage_bytes": 1073741824}'),
    ('standard', '{"devices": 5000, "points": 50000, "tenant_messages_per_second": 2000,
        "device_messages_per_second": 50, "tenant_values_per_second": 20000, "device_values_per_second": 2000,
        "api_requests_per_minute": 3000, "retention_days": 1100, "storage_bytes": 107374182400}'),
    ('unlimited', '{}');

ALTER TABLE tenants
    ADD COLUMN status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('creating', 'active', 'suspended', 'deleting')),
    ADD COLUMN status_reason text,
    ADD COLUMN plan text NOT NULL DEFAULT 'standard' REFERENCES plans,
    ADD COLUMN quotas jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN delete_after timestamptz,
    ADD COLUMN creation_key text UNIQUE;
COMMENT ON COLUMN tenants.quotas IS 'limits of this tenant alone, over those of its plan';
COMMENT ON COLUMN tenants.delete_after IS 'end of the grace period; null when nobody asked for deletion';
COMMENT ON COLUMN tenants.creation_key IS 'the Idempotency-Key that made it, so that asking again finds it';

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    email text NOT NULL CHECK (email = lower(email)),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'engineer', 'viewer')),
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz
);
CREATE INDEX invitations_tenant ON invitations (tenant_id);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant_id uuid,
    actor_kind text NOT NULL CHECK (actor_kind IN ('person', 'client', 'operator', 'system')),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    address text,
    request_id text
);
COMMENT ON TABLE audit_log IS 'append-only for the services; outlives what it tells of';
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, id);
REVOKE UPDATE, DELETE ON audit_log FROM insula;

CREATE TABLE tenant_jobs (
    id uuid PRIMARY KEY,
    tenant_id uuid,
    tenant_slug text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('create', 'export', 'import', 'delete')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    step text,
    done bigint NOT NULL DEFAULT 0,
    total bigint,
    parameters jsonb NOT NULL DEFAULT '{}',
    result jsonb,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN tenant_jobs.tenant_id IS 'no reference: a deletion''s job outlives its tenant';
CREATE INDEX tenant_jobs_tenant ON tenant_jobs (tenant_id, created_at);

CREATE TABLE erasure_receipts (
    tenant_id uuid PRIMARY KEY,
    tenant_slug text NOT NULL,
    erased_at timestamptz NOT NULL,
    receipt text NOT NULL
);
COMMENT ON COLUMN erasure_receipts.receipt IS 'JWS (compact) under the platform''s key: what was looked for, and not found';
REVOKE UPDATE, DELETE ON erasure_receipts FROM insula;

CREATE TABLE usage_daily (
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    day date NOT NULL,
    metric text NOT NULL CHECK (metric IN ('messages', 'values', 'bytes', 'dead_letters', 'throttled', 'api_calls')),
    amount bigint NOT NULL,
    PRIMARY KEY (tenant_id, day, metric)
);
CREATE TABLE usage_devices (
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    day date NOT NULL,
    device_id integer NOT NULL,
    PRIMARY KEY (tenant_id, day, device_id)
);
COMMENT ON TABLE usage_devices IS 'devices seen on a day: what counts them';

CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    key text NOT NULL,
    request_digest bytea NOT NULL,
    status integer,
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
