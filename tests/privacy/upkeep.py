"""What docs/privacy.md tells an operator of PostgreSQL to do so that the forgotten is gone."""

from __future__ import annotations

import re

import psycopg

from tests.rig.process import ROOT


def analyzed(url: str) -> None:
    """Let PostgreSQL take its samples of the tables, as its autovacuum would sooner or later."""
    with psycopg.connect(url, autocommit=True) as operator:
        operator.execute("ANALYZE")


def postgres_upkeep(url: str) -> None:
    """Say to a database what the page tells its operator to say."""
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    with psycopg.connect(url, autocommit=True) as operator:
        for line in block.splitlines():
            if statement := line.partition("--")[0].strip():
                operator.execute(statement.encode())
