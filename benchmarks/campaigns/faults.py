"""Random interruptions of a year's load of 15 symbols: does one undisturbed run always end in the same content?

Run it with `python -m benchmarks.campaigns.faults [--scenarios 50] [--first-seed 1] [--keep]`; it takes about ten
minutes on two cores. Each scenario kills backfills, restarts PostgreSQL, makes the vendor fail or runs two of them at
once, as its seed says. `market_pipeline_tests/fault_campaign` does it.
"""

from market_pipeline_tests.fault_campaign.campaign import main

if __name__ == "__main__":
    main()
