"""End-to-end tests: commands, the UI and crashes, as a user meets them."""
