"""A second opinion: compares stored bars with a file from elsewhere, and explains the differences."""
