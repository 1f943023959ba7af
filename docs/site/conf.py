"""Sphinx's settings for `make docs-site`: the pages of docs/ as they stand."""

from sashiko import __version__

project = "Sashiko"
release = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as GitHub makes them: pages link to each other's headings
exclude_patterns = ["README.md"]  # the first page includes it
html_theme = "furo"
html_title = f"Sashiko {release}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
