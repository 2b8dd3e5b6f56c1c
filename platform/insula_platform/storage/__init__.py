"""How tenants' storage does: to the tenant itself, to the operator, at a terminal."""
