"""``python -m encoders.published check FOLDER`` and ``convert FOLDER``."""

from encoders.published.cli import main

main()
