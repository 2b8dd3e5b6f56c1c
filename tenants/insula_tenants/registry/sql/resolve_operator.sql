SELECT scope, EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = %(token)s) AS is_revoked
FROM oauth_clients
WHERE client_id = %(client)s AND tenant_id IS NULL AND disabled_at IS NULL
