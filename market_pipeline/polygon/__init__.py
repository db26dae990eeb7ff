"""The vendor: client, errors, rate limit, request planning and parsing. Knows HTTP, and no database."""
