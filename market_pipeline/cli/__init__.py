"""`market-pipeline`, the command line: parses, calls, prints. The work is done elsewhere."""
