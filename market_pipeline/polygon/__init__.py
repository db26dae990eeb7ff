"""The vendor Polygon.io (Massive): client, errors, rate limit, request planning, parsing. Uses HTTP, no database."""
