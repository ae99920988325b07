"""Class labels in the forms they come in → class ids."""

import sys

import numpy as np

from bloodcell.classes import CLASS_NAMES, CLASSES, class_id
from bloodcell.data.imaging.decode import printable
from bloodcell.data.readers.npy import ArrayMember
from bloodcell.errors import BadInput

__all__ = ["read_labels"]

_EXPECTED = "expected class ids 0 to 7, class names, or one-hot rows of 8"
_ASK = "give each image one of the eight classes"
_LONGEST_TEXT = 4096  # bytes a label


def read_labels(array: ArrayMember) -> np.ndarray:
    """Read labels as class ids.

    Args:
        array: (N,) or (N, 1) of integers, of floats with integral values, or of class names in
            any spelling that :func:`bloodcell.classes.class_id` knows (text or bytes); or (N, 8)
            one-hot of any number type or bool.

    Returns:
        int64, N, 0 to 7.

    Raises:
        BadInput: any other form or value; the message names the first one.
    """
    n, kind = len(array), array.dtype.kind
    one_hot = array.shape == (n, len(CLASSES)) and kind in "biuf"
    if not one_hot and array.shape not in ((n,), (n, 1)):
        raise BadInput(
            f"{array.called} has the shape {array.shape}, expected (N,), (N, 1) or one-hot "
            f"(N, {len(CLASSES)}): {_ASK}."
        )
    if kind not in ("biuf" if one_hot else "iufUS") or array.dtype.itemsize > _LONGEST_TEXT:
        raise BadInput(f"{array.called} has the dtype {array.dtype}, {_EXPECTED}: {_ASK}.")
    read = _from_one_hot if one_hot else _from_names if kind in "US" else _from_numbers
    labels = np.empty(n, np.int64)
    seen = 0
    for start, rows in array.chunks():
        labels[start : start + len(rows)] = read(array, start, rows)
        seen += len(rows)
    if seen != n:
        raise BadInput(f"{array.called} holds only empty text, {_EXPECTED}: {_ASK}.")
    return labels


def _from_one_hot(array: ArrayMember, start: int, rows: np.ndarray) -> np.ndarray:
    wrong = ~(np.isin(rows, (0, 1)).all(axis=1) & (rows.sum(axis=1, dtype=float) == 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise BadInput(
            f"{array.called} has the row {start + at} {rows[at].tolist()}, expected a single 1 "
            f"among zeros: {_ASK}."
        )
    return rows.argmax(axis=1)


def _from_numbers(array: ArrayMember, start: int, rows: np.ndarray) -> np.ndarray:
    values = rows.reshape(len(rows))
    # NaN fails both comparisons.
    right = (values >= 0) & (values < len(CLASSES)) & (values == np.floor(values))
    if not right.all():
        at = int(np.argmin(right))
        raise BadInput(
            f"{array.called} has the label {values[at]} at index {start + at}, {_EXPECTED}: {_ASK}."
        )
    return values.astype(np.int64)


def _from_names(array: ArrayMember, start: int, rows: np.ndarray) -> np.ndarray:
    if rows.dtype.kind == "U":
        # NumPy checks no code point, and Python fails inside on one that is none.
        points = np.ascontiguousarray(rows).view(np.dtype("u4").newbyteorder(rows.dtype.byteorder))
        if points.max() > sys.maxunicode:
            raise BadInput(f"{array.called} holds text that is no Unicode: {_ASK}.")
    names, where = np.unique(rows.reshape(len(rows)), return_inverse=True)
    texts = [t if isinstance(t, str) else t.decode("utf-8", "replace") for t in names.tolist()]
    ids = [class_id(text) for text in texts]
    unknown = np.array([i is None for i in ids])[where]
    if unknown.any():
        at = int(np.argmax(unknown))
        raise BadInput(
            f"{array.called} has the class {printable(texts[where[at]])!r} at index {start + at}, "
            f"expected one of {', '.join(CLASS_NAMES)}: {_ASK}."
        )
    return np.array(ids, np.int64)[where]
