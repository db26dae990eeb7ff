"""The test suite: mirrors the package, in unit, integration and end_to_end."""
