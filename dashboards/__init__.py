"""The command line; the Streamlit app and the HTTP API arrive later."""
