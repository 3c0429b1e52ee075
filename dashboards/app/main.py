"""The script that Streamlit runs for every page; ``cisgraph dashboard`` starts it."""

from dashboards.app.shell import run

run()
