"""Vocabulary shared by every package: settings, symbols, sessions, bars and errors. Imports nothing of the project."""
