# SPDX-License-Identifier: GPL-2.0
"""Sphinx: sphinx-build Documentation out"""

project = 'rviommu'
root_doc = 'index'
html_theme = 'alabaster'
# The sources are read as they are, too: no smart quotes in commands.
smartquotes = False
