"""Single sign-on: a tenant's people come in by the tenant's own OpenID provider."""
