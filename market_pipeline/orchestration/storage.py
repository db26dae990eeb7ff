"""Former names of the storage, for files of Dagster and Helm written before they moved; dropped in release 0.3.

The first files name `MarketPipelineStorage` in this module. Later ones name modules such as
`market_pipeline.orchestration.storage.whole`, which Python finds here once this module is imported:
https://docs.python.org/3/library/importlib.html#importlib.import_module
"""

import sys

from market_pipeline.orchestration import instance_storage, run_output, separate_storages

MarketPipelineStorage = instance_storage.MarketPipelineStorage

sys.modules[f"{__name__}.whole"] = instance_storage
sys.modules[f"{__name__}.parts"] = separate_storages
sys.modules[f"{__name__}.run_output"] = run_output
