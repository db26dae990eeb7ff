"""Rules for bars: pure functions on frames that know neither vendor nor database."""
