"""A Polygon-compatible server on loopback: recorded real bars, generated bars, plans and faults."""
