"""Exports of a tenant over HTTP and in the worker; export and import on the command line."""
