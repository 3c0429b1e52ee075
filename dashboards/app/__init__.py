"""The Streamlit dashboard: pages that read a workspace and its scores, and change neither."""
