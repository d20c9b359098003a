"""Sphinx configuration: Markdown pages, every warning an error, no third-party requests."""

project = "WatchLLM"
author = "WatchLLM"
project_copyright = "2026, WatchLLM"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "WatchLLM"
html_static_path = ["_static"]
html_extra_path = ["llms.txt"]  # the pages with a line each, for models that read documentation
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
nitpick_ignore_regex = [("py:.*", ".*")]
