"""The address of what is on screen: read from the browser's, written back, linked to.

The address is the one place where a page's state lives. Before its widgets are drawn, a
page seeds them from the address; a widget that changes writes the address in its
callback. So a copied address, a reload and the Back button all show the same thing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import streamlit as st

KEPT: Final = ("workspace", "scores", "door", "region", "variant", "gene")
"""Parameters that go along from page to page; filters belong to their page."""

Address = dict[str, str | list[str]]


def read(name: str, base: str = "") -> str:
    """Return a parameter of the address."""
    return str(st.query_params.get(name, base))


def read_all() -> dict[str, list[str]]:
    """Return all parameters, each with its values."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def write(**changes: str | Sequence[str] | None) -> None:
    """Change parameters of the address; None and "" take one away."""
    for name, value in changes.items():
        if value:
            st.query_params[name] = value if isinstance(value, str) else list(value)
        elif name in st.query_params:
            del st.query_params[name]


def onward(**changes: str | Sequence[str] | None) -> Address:
    """Return the parameters a link to another page carries."""
    kept: dict[str, Any] = {
        name: st.query_params[name] for name in KEPT if name in st.query_params
    }
    for name, value in changes.items():
        if value:
            kept[name] = value if isinstance(value, str) else list(value)
        else:
            kept.pop(name, None)
    return kept


def seed(key: str, value: Any) -> str:  # noqa: ANN401
    """Give a widget its value from the address, before it is drawn; return its key."""
    st.session_state[key] = value
    return key


def writes(name: str, key: str) -> Callable[[], None]:
    """Return a callback that writes a widget's value to the address."""

    def changed() -> None:
        value = st.session_state[key]
        if isinstance(value, Iterable) and not isinstance(value, str):
            write(**{name: [str(one) for one in value]})
        else:
            write(**{name: None if value is None else str(value)})

    return changed


def as_query(parameters: Mapping[str, str | Sequence[str]]) -> str:
    """Return parameters as the query part of an address, without '?'."""
    from urllib.parse import urlencode

    return urlencode(
        {k: [v] if isinstance(v, str) else list(v) for k, v in parameters.items()},
        doseq=True,
    )
