"""Many tenants at little cost: a registry row, a role and an empty schema each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql
from sqlalchemy import make_url, text

from insula_tenants import roles
from insula_tenants.administration import Administration
from insula_tenants.names import schema_of
from tests.conftest import Deployment


@contextmanager
def crowd_of(deployment: Deployment, slugs: Sequence[str], version: str) -> Iterator[None]:
    """The tenants are there while the block runs, at `version` as far as the registry knows."""
    admins = Administration({"main": deployment.admin_url})
    with admins.registry.begin() as connection:
        login = str(make_url(deployment.service_url).username)
        for slug in slugs:
            roles.ensure_role(connection, schema_of(slug))
            roles.grant_membership(connection, schema_of(slug), login)
            roles.ensure_schema(connection, schema_of(slug))
        connection.execute(
            text(
                "INSERT INTO insula.tenants (id, slug, name, schema_version)"
                " SELECT gen_random_uuid(), slug, slug, :version"
                " FROM unnest(CAST(:slugs AS text[])) AS slug"
            ),
            {"slugs": list(slugs), "version": version},
        )
    try:
        yield
    finally:
        for slug in slugs:
            name = sql.Identifier(schema_of(slug))
            with admins.registry.begin() as connection:
                roles.execute(connection, sql.SQL("DROP SCHEMA {} CASCADE").format(name))
                roles.execute(connection, sql.SQL("DROP ROLE {}").format(name))
        admins.close()
