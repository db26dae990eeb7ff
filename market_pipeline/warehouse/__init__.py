"""PostgreSQL: the tables, their migrations, loading, reading, and the embedded server."""
