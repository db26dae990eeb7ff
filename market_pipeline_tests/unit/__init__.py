"""Tests of single modules, with nothing running beside them."""
