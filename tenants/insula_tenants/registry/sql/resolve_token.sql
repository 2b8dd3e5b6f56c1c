SELECT tenants.id, tenants.slug, tenants.database, tenants.schema_version, tenants.status,
    tenants.status_reason, tenants.delete_after, tenants.quotas, plans.quotas AS of_plan,
    memberships.role,
    memberships.places,
    clients.places AS own_places,
    -- People's clients are bounded by what the person let them do, which the token says.
    CASE WHEN %(account)s::uuid IS NULL THEN clients.scope END AS scope,
    clients.client_id IS NOT NULL AS is_client,
    -- A grant that is named must be there: whoever ends one may delete its row.
    revoked.jti IS NOT NULL
        OR (%(grant)s::uuid IS NOT NULL AND (grants.id IS NULL OR grants.revoked_at IS NOT NULL)) AS is_revoked
FROM tenants
JOIN plans ON plans.name = tenants.plan
LEFT JOIN oauth_clients AS clients
    ON clients.client_id = %(client)s AND clients.disabled_at IS NULL
    -- A program acts in its own tenant; people's clients may be the platform's, which have none.
    AND (clients.tenant_id = tenants.id OR (clients.tenant_id IS NULL AND %(account)s::uuid IS NOT NULL))
LEFT JOIN memberships ON memberships.account_id = %(account)s AND memberships.tenant_id = tenants.id
LEFT JOIN oauth_grants AS grants
    ON grants.id = %(grant)s AND grants.account_id = %(account)s AND grants.tenant_id = tenants.id
LEFT JOIN revoked_tokens AS revoked ON revoked.jti = %(token)s
WHERE tenants.slug = %(slug)s
