"""What two pages share. The only package here that imports streamlit."""

__all__ = [
    "state",
]
