"""The tenancy core: registry, schemas and roles, sessions, devices, telemetry store."""
