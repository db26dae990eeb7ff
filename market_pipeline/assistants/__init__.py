"""Assistants: a server of the Model Context Protocol with tools that read the warehouse, over stdio or HTTP."""
