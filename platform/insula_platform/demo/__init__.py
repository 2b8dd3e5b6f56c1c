"""`insula demo`: the whole platform as processes on one machine, with two tenants and their sensors."""
