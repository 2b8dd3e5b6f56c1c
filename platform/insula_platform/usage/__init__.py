"""What a tenant may use and what it uses, over HTTP."""
