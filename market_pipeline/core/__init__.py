"""Vocabulary of every package: settings, symbols, sessions, bars and errors. It imports nothing of the project."""
