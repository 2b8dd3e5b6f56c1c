"""No SQL is built from text: what roles do not stop (`RESET ROLE`) must have no way in.

Walks the syntax trees of all packages. A statement may be a literal, a constant, SQLAlchemy's expressions or
psycopg's `sql`, and never an f-string, a `%`, a `+`, or `str.format` on text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

PACKAGES = ("insula_platform", "insula_tenants", "insula_ingest", "insula_analytics_ui")

TAKES_SQL = frozenset(
    {"execute", "executemany", "exec_driver_sql", "text", "SQL", "copy", "scalar", "scalars", "stream"}
)
"""Calls whose first argument, or for `roles.execute` whose second, is a statement."""

ALLOWED = {
    # The one statement of the demo's own embedded server: a constant of the module.
    ("insula_platform/demo/postgres.py", 'f"CREATE DATABASE {_DATABASE}"'),
}

NOT_POOLED = {
    "insula_tenants/migrate.py",
    "insula_tenants/administration.py",
    "insula_tenants/bundle/restore.py",
    "insula_tenants/rollups/access.py",
}
"""Administrators' connections end with what they were opened for."""


def modules() -> Iterator[tuple[str, ast.Module, str]]:
    """Path below its package's folder, tree and text of every module."""
    for package in PACKAGES:
        root = Path(str(files(package)))
        for path in sorted(root.rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            yield f"{package}/{path.relative_to(root)}", ast.parse(source), source


def built_from_text(tree: ast.Module) -> Iterator[ast.expr]:
    """The arguments of statements that are put together from text."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in TAKES_SQL:
            given = [*call.args[:2], *(word.value for word in call.keywords)]
            yield from (one for argument in given for one in _suspects(argument, tree))


def _suspects(expression: ast.expr, tree: ast.Module) -> Iterator[ast.expr]:
    match expression:
        case ast.JoinedStr(values=values) if any(isinstance(one, ast.FormattedValue) for one in values):
            yield expression
        case ast.BinOp(op=ast.Add() | ast.Mod(), left=left, right=right) if _is_text(left) or _is_text(right):
            yield expression
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace" | "format_map", value=receiver)):
            if not _is_composable(receiver):
                yield expression
        case ast.IfExp(body=body, orelse=orelse):
            yield from (one for branch in (body, orelse) for one in _suspects(branch, tree))
        case ast.Name(id=name):
            for assigned in _values_of(name, tree):
                if not isinstance(assigned, ast.Name):
                    yield from _suspects(assigned, tree)


def _is_text(expression: ast.expr) -> bool:
    """Whether this is text for sure. Adding SQLAlchemy's columns is no matter of this test."""
    return isinstance(expression, ast.JoinedStr) or (
        isinstance(expression, ast.Constant) and isinstance(expression.value, str)
    )


def _is_composable(expression: ast.expr) -> bool:
    """`sql.SQL(…)`, whose `format` and `join` quote what they are given, or SQLAlchemy's `select(…)`."""
    match expression:
        case ast.Call(func=ast.Attribute(attr="SQL") | ast.Name(id="select")):
            return True
    return False


def _values_of(name: str, tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value) if any(
                isinstance(target, ast.Name) and target.id == name for target in targets
            ):
                yield value
            case (
                ast.AnnAssign(target=ast.Name(id=assigned), value=ast.expr() as value)
                | ast.AugAssign(target=ast.Name(id=assigned), value=value)
                | ast.NamedExpr(target=ast.Name(id=assigned), value=value)
            ) if assigned == name:
                yield value
            case ast.For(
                target=ast.Name(id=assigned), iter=ast.Tuple(elts=values) | ast.List(elts=values)
            ) if assigned == name:
                yield from values


def test_no_statement_is_built_from_text():
    found = {
        (path, ast.get_source_segment(source, suspect) or "")
        for path, tree, source in modules()
        for suspect in built_from_text(tree)
    }
    assert found == ALLOWED


@pytest.mark.parametrize(
    "built",
    [
        'connection.execute(f"SELECT {name}")',
        'connection.execute("SELECT %s" % name)',
        'connection.execute("SELECT " + name)',
        'connection.execute("SELECT {}".format(name))',
        'connection.execute(", ".join(names))',
        'connection.execute(TEMPLATE.replace("x", name))',
        'session.execute(text(f"SELECT {name}"))',
        'statement = f"SELECT {name}"\nconnection.execute(statement)',
        'statement = "SELECT "\nstatement += f"{name}"\nconnection.execute(statement)',
        'roles.execute(connection, f"DROP ROLE {name}")',
        'sql.SQL(f"SELECT {name}")',
        'sql.SQL("SELECT " + name).format(x)',
        'connection.execute(query=f"SELECT {name}")',
        'connection.execute("SELECT 1" if x else f"SELECT {name}")',
        'session.scalar(text("SELECT " + name))',
        'cursor.copy(f"COPY {table} TO STDOUT")',
        'for statement in ("SELECT 1", f"SELECT {name}"):\n    connection.execute(statement)',
    ],
)
def test_what_this_test_looks_for_is_found(built: str):
    assert list(built_from_text(ast.parse(built)))


@pytest.mark.parametrize(
    "proper",
    [
        'connection.execute("SELECT %s", (name,))',
        'session.execute(text("SELECT :name"), {"name": name})',
        'connection.execute(sql.SQL("SELECT {}").format(sql.Identifier(name)))',
        "session.execute(select(Device).where(Device.id == number + 1))",
        "session.execute(select(Device).join(Point, Point.device_id == Device.id))",
        'connection.execute(statement("latest"), parameters)',
        'STATEMENT = "SELECT 1"\nconnection.execute(STATEMENT)',
    ],
)
def test_what_is_proper_is_left_alone(proper: str):
    assert not list(built_from_text(ast.parse(proper)))


def test_code_takes_no_lock_and_makes_no_setting_that_outlives_its_transaction():
    """Advisory locks and settings of a session would go back to the pool with its connection."""
    for path, tree, _source in modules():
        if path in NOT_POOLED:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = " ".join(node.value.split()).lower()
                for word in ("pg_advisory_lock(", "pg_try_advisory_lock(", "set_config('role', %s, false"):
                    assert word not in text, (path, node.lineno)
                assert not text.startswith(("set role", "set session", "set search_path", "listen ")), (
                    path,
                    node.lineno,
                )
