"""What was chosen in a table."""

__all__ = ["chosen_row"]


def chosen_row(selection: dict, default: int = 0) -> int:
    """The row of a table's selection, by its checkbox or by a click on any cell of it."""
    if selection.get("rows"):
        return int(selection["rows"][0])
    if selection.get("cells"):
        return int(selection["cells"][0][0])
    return default
