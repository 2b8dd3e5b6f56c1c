"""Accepting an invitation: from a link to a place in a tenant."""
