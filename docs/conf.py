"""Sphinx's configuration for the pages of the documentation: `make docs`."""

project = "Market Pipeline"
author = "the Market Pipeline developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Market Pipeline"
html_theme_options = {"source_repository": "", "footer_icons": []}
# A broken link is a warning, which `make docs` and the tests turn into an error.
nitpicky = True
