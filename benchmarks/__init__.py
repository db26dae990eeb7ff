"""Measurements, one question a module, each beside a reference in the same run: `python -m benchmarks.load_bars`.

`make bench` asks all of them and writes docs/performance.md. What takes long and gives no ratio is in `campaigns/`.
"""
