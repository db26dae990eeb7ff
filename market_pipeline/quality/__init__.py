"""The rules a bar must pass: pure functions on frames that know neither vendor nor database."""
