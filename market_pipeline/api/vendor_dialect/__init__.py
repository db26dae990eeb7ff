"""The vendor's dialect: its REST endpoints of daily bars and reference data, answered from the warehouse."""
