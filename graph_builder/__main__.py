"""``python -m graph_builder validate …``."""

from graph_builder.cli import main

main()
