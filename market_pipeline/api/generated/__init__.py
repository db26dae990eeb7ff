"""Endpoints generated from the database's tables and views: catalog, query, rows, format."""
