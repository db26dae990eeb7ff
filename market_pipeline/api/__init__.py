"""The read API: HTTP over the warehouse's tables and the analysts' tables, the runbook's endpoints, and the page."""
