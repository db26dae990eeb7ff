"""SQL of the migrations that is longer than a few lines, each script in a file in the folder `sql`."""

from importlib.resources import files


def read_script(name: str) -> str:
    """Return the SQL in `sql/<name>.sql`. Colons are escaped, which SQLAlchemy takes for parameters."""
    script = files("market_pipeline.warehouse.migrations") / "sql" / f"{name}.sql"
    return script.read_text(encoding="utf-8").replace(":", "\\:")
