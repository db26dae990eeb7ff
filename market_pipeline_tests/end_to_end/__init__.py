"""Tests of the whole, as a user uses it: commands, the UI, crashes."""
