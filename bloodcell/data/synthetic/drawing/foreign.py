"""Pictures of anything but cells: what a person may drop into the wrong box."""

import cv2
import numpy as np

__all__ = ["draw_foreign"]


def _sunset(rng: np.random.Generator, n: int) -> np.ndarray:
    top, glow = (
        rng.uniform((20, 30, 90), (90, 90, 180)),
        rng.uniform((230, 110, 40), (255, 190, 90)),
    )
    horizon = rng.uniform(0.5, 0.75)
    t = np.clip(np.linspace(0, 1 / horizon, n), 0, 1)[:, None, None]
    picture = np.repeat(top + (glow - top) * t**1.4, n, 1).astype(np.uint8)
    sun = (int(rng.uniform(0.15, 0.85) * n), int((horizon - rng.uniform(0, 0.2)) * n))
    cv2.circle(picture, sun, int(rng.uniform(0.06, 0.14) * n), (255, 238, 170), -1, cv2.LINE_AA)
    for depth in range(3):
        x = np.linspace(0, 1, 24)
        y = (
            horizon
            + 0.11 * depth
            - 0.07 * np.abs(np.sin(rng.uniform(2, 7) * x + rng.uniform(0, 6)))
        )
        ridge = np.rint(np.vstack([np.stack([x, y], 1), [[1, 1.1], [0, 1.1]]]) * n)
        shade = (np.array([70, 60, 80]) * (1 - 0.3 * depth)).tolist()
        cv2.fillPoly(picture, [ridge.astype(np.int32)], shade, cv2.LINE_AA)
    return picture


def _checker(rng: np.random.Generator, n: int) -> np.ndarray:
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.06, 0.2) * n
    y, x = np.mgrid[:n, :n]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    squares = (np.floor(u / period) + np.floor(v / period)) % 2
    a, b = rng.uniform(0, 120, 3), rng.uniform(130, 255, 3)
    return (a + (b - a) * squares[..., None]).astype(np.uint8)


def _writing(rng: np.random.Generator, n: int) -> np.ndarray:
    picture = np.full((n, n, 3), rng.integers(225, 256), np.uint8)
    ink = rng.integers(0, 90, 3).tolist()
    step = rng.uniform(0.07, 0.12)
    for y in np.arange(0.08, 0.95, step):
        x = 0.05
        while x < rng.uniform(0.8, 0.95):
            word = rng.uniform(0.05, 0.18)
            k = max(3, int(word * 60))
            xs = np.linspace(x, x + word, k)
            ys = y + rng.uniform(-0.3, 0.3, k) * step
            points = np.rint(np.stack([xs, ys], 1) * n).astype(np.int32)
            cv2.polylines(picture, [points], False, ink, max(1, n // 96), cv2.LINE_AA)
            x += word + 0.03
    return picture


def _gradient(rng: np.random.Generator, n: int) -> np.ndarray:
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    return np.clip(cv2.resize(corners, (n, n), interpolation=cv2.INTER_CUBIC), 0, 255).astype(
        np.uint8
    )


def _face(rng: np.random.Generator, n: int) -> np.ndarray:
    picture = np.full((n, n, 3), 0, np.uint8)
    picture[:] = rng.integers(60, 255, 3)
    skin = rng.integers((150, 90, 60), (256, 210, 170)).tolist()
    cx, cy, r = (rng.uniform((0.42, 0.42, 0.28), (0.58, 0.58, 0.38)) * n).tolist()
    cv2.ellipse(picture, ((cx, cy), (2 * r, 2.4 * r), 0), skin, -1, cv2.LINE_AA)
    for side in (-1, 1):
        eye = (int(cx + side * 0.4 * r), int(cy - 0.2 * r))
        cv2.circle(picture, eye, max(2, int(0.15 * r)), (250, 250, 250), -1, cv2.LINE_AA)
        cv2.circle(picture, eye, max(1, int(0.07 * r)), (20, 20, 30), -1, cv2.LINE_AA)
    mouth = (int(cx), int(cy + 0.35 * r))
    axes = (max(2, int(0.45 * r)), max(1, int(rng.uniform(0.05, 0.3) * r)))
    cv2.ellipse(picture, mouth, axes, 0, 0, 180, (150, 30, 40), max(1, n // 40), cv2.LINE_AA)
    return picture


def _blocks(rng: np.random.Generator, n: int) -> np.ndarray:
    picture = np.full((n, n, 3), 0, np.uint8)
    picture[:] = rng.integers(0, 256, 3)
    for _ in range(int(rng.integers(4, 11))):
        colour = rng.integers(0, 256, 3).tolist()
        if rng.random() < 0.5:
            points = np.rint(rng.uniform(0, 1, (3, 2)) * n).astype(np.int32)
            cv2.fillPoly(picture, [points], colour, cv2.LINE_AA)
        else:
            a, b = np.rint(rng.uniform(0, 1, (2, 2)) * n).astype(int).tolist()
            cv2.rectangle(picture, a, b, colour, -1)
    return picture


_KINDS = (_sunset, _checker, _writing, _gradient, _face, _blocks)


def draw_foreign(rng: np.random.Generator, size: int = 96) -> np.ndarray:
    """Draw something that is no cell: a landscape, a pattern, writing, a gradient, a face.

    Args:
        rng: the only source of chance; the same state gives the same picture.
        size: side in pixels; made for 28 to 224.

    Returns:
        uint8, size×size×3, RGB.
    """
    n = max(96, size)
    picture = _KINDS[int(rng.integers(len(_KINDS)))](rng, n)
    if n != size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    grain = rng.normal(0, 2, (size, size, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)
