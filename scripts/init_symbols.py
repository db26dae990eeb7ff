"""The runbook's `python scripts/init_symbols.py`: the same as `market-pipeline symbols init`."""

import sys

from market_pipeline.cli.main import main

main(["symbols", "init", *sys.argv[1:]])
