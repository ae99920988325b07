"""White balance as the first layers of a network.

The empty field of a smear has the colour of the lamp and the camera, so dividing by it leaves what
the stain takes away (Beer and Lambert): one more thing of a laboratory that a network need not
learn. It is a part of the network, so it holds wherever that is used: in training after the
augmentation, in the exported file, in an evidence map.
"""

from typing import Any

__all__ = ["FIELD", "white_balance"]

# The empty field of the smears of Barcelona (PBC), by which the reference began: there nothing
# changes, and a network that has learned without it can go on with it.
FIELD = (252.0, 228.0, 202.0)
# The share of an image that is taken for the empty field: what takes least green light, which all
# that is stained takes.
BRIGHTEST = 0.2
# No colour is made less or more than so many times as bright, whatever an image shows.
LEAST, MOST = 0.5, 2.5
# An image is looked at in so many squares a side, so that no speck is taken for the field.
SQUARES = 24


def white_balance(size: int) -> Any:
    """A model that gives the empty field of each image the colour :data:`FIELD`.

    Args:
        size: pixels a side.

    Returns:
        ``keras.Model`` without weights: float32, n×size×size×3 in 0 to 255 → the same.
    """
    import keras
    from keras import ops

    image = keras.Input((size, size, 3))
    pool = max(1, size // SQUARES)
    squares = ops.average_pool(image, pool, pool) if pool > 1 else image
    count = (size // pool) ** 2
    squares = ops.reshape(squares, (-1, count, 3))
    green = squares[..., 1]
    brightest, _ = ops.top_k(green, max(1, round(BRIGHTEST * count)))
    field = ops.cast(green >= brightest[:, -1:], "float32")[..., None]
    colour = ops.sum(squares * field, axis=1) / ops.sum(field, axis=1)
    gain = keras.layers.Rescaling(list(FIELD))(1.0 / ops.maximum(colour, 1.0))
    gain = ops.clip(gain, LEAST, MOST)
    balanced = ops.minimum(image * gain[:, None, None, :], 255.0)
    return keras.Model(image, balanced, name="white_balance")
