"""A warehouse of daily market data that runs itself: Polygon.io bars, checked and loaded into PostgreSQL by Dagster."""

__version__ = "0.1.0"
