"""Campaigns: long runs under load and faults, each a command of its own. `make bench` leaves them out."""
