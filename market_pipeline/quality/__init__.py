"""Rules for bars: pure functions on arrays that know neither vendor nor database."""
