"""The runbook's `python scripts/backfill.py`: the same as `market-pipeline backfill`."""

import sys

from market_pipeline.cli.main import main

main(["backfill", *sys.argv[1:]])
