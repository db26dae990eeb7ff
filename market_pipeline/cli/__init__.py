"""Command line `market-pipeline`: each command parses options, calls the packages below it, and prints the result."""
