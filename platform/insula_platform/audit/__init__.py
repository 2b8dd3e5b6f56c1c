"""The audit log, for a tenant's owners and admins."""
