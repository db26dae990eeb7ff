"""Long runs that show how the whole behaves under load and faults, each its own command, no part of `make bench`."""
