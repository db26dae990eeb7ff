"""Resources of an assistant: the schema from the database's own comments, and the glossary."""

from market_pipeline.api.generated.catalog import Catalog, Relation
from market_pipeline.core.settings import find_project_dir

SCHEMA, TABLE, GLOSSARY = "warehouse://schema", "warehouse://schema/{table}", "warehouse://glossary"
"""URIs of the resources."""


async def describe_schema(catalog: Catalog) -> str:
    """Return a line for each table, view and mart with its meaning and its columns, as Markdown."""
    await catalog.refresh()
    relations = sorted(catalog.relations.values(), key=lambda each: (each.schema != "analytics", each.name))
    lines = [
        "# Tables, views and marts",
        f"The meaning of each column is in {TABLE}. In SQL, marts need the prefix `analytics.`.",
        *(
            f"- `{_build_sql_name(each)}` ({each.kind}): {each.description} Columns: {', '.join(each.columns)}."
            for each in relations
        ),
    ]
    return "\n".join(lines)


async def describe_table(catalog: Catalog, name: str) -> str | None:
    """Return a table's columns with types and meanings, as Markdown; None if there is no such table."""
    relation = await catalog.find(name.removeprefix("analytics.").removeprefix("public."))
    if relation is None:
        return None
    key = f" Key: {', '.join(relation.key)}." if relation.key else ""
    return "\n".join(
        [
            f"# {_build_sql_name(relation)}",
            f"{relation.description}{key}",
            *(f"- `{column.name}` {column.type}: {column.description}" for column in relation.columns.values()),
        ]
    )


def read_glossary() -> str:
    """Return the glossary, docs/glossary.md."""
    return (find_project_dir() / "docs" / "glossary.md").read_text(encoding="utf-8")


def _build_sql_name(relation: Relation) -> str:
    prefix = "" if relation.schema == "public" else f"{relation.schema}."
    return f"{prefix}{relation.relation_name}"
