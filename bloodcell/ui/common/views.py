"""The choice of how many networks look at an image, and how often."""

import streamlit as st

from bloodcell.ensemble.description import Description

__all__ = ["ALL_HELP", "TTA_HELP", "ask_views"]

TTA_HELP = (
    "Average the predictions over eight flips and rotations of each image. Slower, often slightly "
    "more accurate."
)
ALL_HELP = (
    "By default the smallest network answers alone where it is sure, and all networks elsewhere "
    "(a cascade); the model card says what that costs. Switched on, every network looks at every "
    "image: slower, and the members can be compared."
)


def ask_views(description: Description, key: str) -> bool | None:
    """Draw the choice; its value is the `tta` of :meth:`bloodcell.ensemble.Ensemble.predict`.

    Args:
        key: unique on the page.
    """
    if description.cascade is None:
        return st.toggle(
            "Test-time augmentation",
            value=bool(description.tta),
            key=f"{key}_tta_{description.name}",
            persist_state="session",
            help=TTA_HELP,
        )
    every = st.toggle(
        "All networks", key=f"{key}_all_{description.name}", persist_state="session", help=ALL_HELP
    )
    return description.tta if every else None
