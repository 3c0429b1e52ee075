"""``python -m data_registry add …``."""

from data_registry.cli import main

main()
