"""Page."""
import streamlit as st


def show() -> None:
    """Draw."""
    st.write("…")
