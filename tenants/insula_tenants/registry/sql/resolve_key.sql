WITH used AS (
    UPDATE api_keys SET last_used_at = now()
    WHERE key_hash = %(key_hash)s AND expires_at > now()
      AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)
SELECT tenants.id, tenants.slug, tenants.database, tenants.schema_version, tenants.status,
    tenants.status_reason, tenants.delete_after, tenants.quotas, plans.quotas AS of_plan,
    memberships.role,
    memberships.places,
    keys.places AS own_places,
    keys.scope,
    keys.id AS key_id,
    keys.expires_at,
    keys.expires_at <= now() AS expired
FROM api_keys AS keys
JOIN tenants ON tenants.id = keys.tenant_id
JOIN plans ON plans.name = tenants.plan
JOIN memberships ON memberships.account_id = keys.account_id AND memberships.tenant_id = keys.tenant_id
WHERE keys.key_hash = %(key_hash)s
