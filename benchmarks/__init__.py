"""Benchmarks, one per module, each measured beside a reference in the same run: `python -m benchmarks.load_bars`.

`make bench` runs all of them and writes docs/performance.md. Long runs without a ratio are in `campaigns/`.
"""
