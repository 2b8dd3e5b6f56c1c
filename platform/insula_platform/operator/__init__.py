"""What the operator of a deployment does: tenants' lives, by REST and by command line."""
