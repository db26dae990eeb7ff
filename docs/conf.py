"""How Sphinx makes the documentation's pages of these Markdown files: `make docs`."""

project = "Market Pipeline"
author = "the Market Pipeline developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Market Pipeline"
html_theme_options = {"source_repository": "", "footer_icons": []}
# A link that leads nowhere is an error; `make docs` and the tests turn warnings into such.
nitpicky = True
