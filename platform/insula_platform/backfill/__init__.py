"""Readings over HTTP: files of them, streamed into the tenant's store."""
