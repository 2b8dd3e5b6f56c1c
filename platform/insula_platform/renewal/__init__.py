"""Where devices renew their certificates: a server of its own, behind TLS with client certificates."""
