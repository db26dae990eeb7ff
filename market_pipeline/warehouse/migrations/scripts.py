"""SQL of the migrations that is longer than a few lines, each script in a file in the folder `sql`."""

from importlib.resources import files


def read_script(name: str) -> str:
    """Return the SQL in `sql/<name>.sql`, escaped."""
    script = files("market_pipeline.warehouse.migrations") / "sql" / f"{name}.sql"
    return escape_colons(script.read_text(encoding="utf-8"))


def escape_colons(script: str) -> str:
    """Escape the colons of SQL, which SQLAlchemy takes for those of parameters."""
    return script.replace(":", "\\:")
