"""Random interruptions of a year's load of 15 symbols: does one undisturbed run always end in the same content?

Run it with `.venv/bin/python benchmarks/fault_campaign.py [--scenarios 50] [--first-seed 1] [--keep]`; it takes about
ten minutes on two cores. Each scenario kills backfills, restarts PostgreSQL, makes the vendor fail or runs two of them
at once, as its seed says. This is only the door: how it is done is in `market_pipeline_tests/fault_campaign`.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the campaign."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from market_pipeline_tests.fault_campaign.campaign import main as campaign

    campaign()


if __name__ == "__main__":
    main()
