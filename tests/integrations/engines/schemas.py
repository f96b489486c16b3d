"""Schemas of their own for the tests of engines on PostgreSQL."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import psycopg

from tests.services import database_url


def admin(statement: str, schema: str = "public") -> list[tuple[Any, ...]]:
    """Runs a statement on the server, as seen from a schema."""
    url = within(schema)
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def new_schema() -> str:
    """A new, empty schema."""
    name = f"test_{uuid.uuid4().hex}"
    admin(f"CREATE SCHEMA {name}")
    return name


def drop_schema(name: str) -> None:
    """Removes it and all that is in it."""
    admin(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def within(schema: str, url: str | None = None) -> str:
    """The URL of the database, seen from a schema."""
    url = url or database_url()
    return f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={schema}')}"
