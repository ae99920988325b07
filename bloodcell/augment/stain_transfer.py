"""A cell as another laboratory's stain and camera would show it, from stored statistics alone.

For the background, the cytoplasm (with the red cells) and the nucleus of a laboratory's cells the
mean and covariance of red, green and blue in optical density are known. An image is taken for
one of the laboratory whose statistics it is nearest to, and each region is carried to another
laboratory by the linear map that turns the one covariance into the other with the least change
(Monge's; Pitié & Kokaram 2007; after Reinhard et al. 2001). The maps are fixed for a pair of
laboratories, as in Chossegros et al. 2024, so that an eosinophil stays more red than a
neutrophil; matching each image by its own statistics would make all cells alike.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from bloodcell.augment.canvas import Canvas
from bloodcell.augment.declaration import COLOUR_CUE, Augmentation, Parameters, strength
from bloodcell.augment.laboratories import LABORATORIES
from bloodcell.errors import BadInput

__all__ = ["AUGMENTATIONS", "BUILT_IN", "REGIONS", "Stains", "measure_stain", "stain_transfer"]

REGIONS = ("background", "cytoplasm", "nucleus")
MOST_LABORATORIES = 64
LONGEST_NAME = 200
# Optical density (natural logarithm) by which a region must exceed the next paler one.
LEAST_STEP = 0.08
LEAST_SHARE = 0.004
SOFT = 1.2
RIDGE = 2e-4
# No map may stretch or press a colour by more than this.
STRETCH = 3.0
# In optical density, of background, cytoplasm and nucleus: what is a cell's own.
OWN = np.array([[0.08], [0.2], [0.35]])
_VALUES = np.arange(256, dtype=np.float32)
_DENSITY = -np.log((_VALUES + 1) / 256).reshape(256, 1)
_LEVEL = np.rint(255 * _DENSITY / _DENSITY.max()).astype(np.uint8)


def _shares(image: np.ndarray) -> list[np.ndarray]:
    """float32, H×W, one for each of REGIONS: how far each pixel belongs to it; they sum to 1.

    Red light is taken by chromatin alone and green by all that is stained, so Otsu's threshold
    of the first parts the nucleus, and of the second, among the rest, the empty field.
    """
    soft = cv2.GaussianBlur(image[..., :2], (0, 0), SOFT)
    red, green = cv2.LUT(soft[..., 0], _LEVEL), cv2.LUT(soft[..., 1], _LEVEL)
    level, nucleus = cv2.threshold(red, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    inside = nucleus.astype(bool)
    if not _apart(red, inside):
        inside[:] = False
    rest = ~inside
    stained = np.zeros_like(inside)
    among = np.ascontiguousarray(green[rest]).reshape(-1, 1)
    if len(among):
        level, _ = cv2.threshold(among, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        stained = rest & (green > level)
        if not _apart(green[rest], stained[rest]):
            stained[:] = False
    hard = [~inside & ~stained, stained, inside]
    return [cv2.GaussianBlur(h.astype(np.float32), (0, 0), SOFT) for h in hard]


def _apart(levels: np.ndarray, inside: np.ndarray) -> bool:
    share = float(inside.mean())
    if not LEAST_SHARE < share < 1 - LEAST_SHARE:
        return False
    step = float(levels[inside].mean()) - float(levels[~inside].mean())
    return step * float(_DENSITY.max()) / 255 >= LEAST_STEP


def measure_stain(images: Iterable[np.ndarray], name: str) -> dict[str, Any] | None:
    """The statistics of a laboratory, as a policy keeps them.

    Args:
        images: uint8, H×W×3, RGB: of its cells, some of each class.

    Returns:
        ``name``, ``n`` and for each of REGIONS ``mean`` (3) and ``covariance`` (3×3); None where
        a region is not there.
    """
    n = 0
    weight = np.zeros(len(REGIONS))
    sums, squares = np.zeros((len(REGIONS), 3)), np.zeros((len(REGIONS), 3, 3))
    for image in images:
        density = cv2.LUT(np.ascontiguousarray(image), _DENSITY).reshape(-1, 3).astype(float)
        for r, share in enumerate(_shares(image)):
            w = share.ravel().astype(float)
            weight[r] += w.sum()
            sums[r] += w @ density
            squares[r] += (density * w[:, None]).T @ density
        n += 1
    if not n or (weight < 1).any():
        return None
    found: dict[str, Any] = {"name": name, "n": n}
    for r, region in enumerate(REGIONS):
        mean = sums[r] / weight[r]
        covariance = squares[r] / weight[r] - np.outer(mean, mean)
        found[region] = {
            "mean": np.round(mean, 5).tolist(),
            "covariance": np.round(covariance, 6).tolist(),
        }
    return found


class Stains(tuple):
    """The statistics of several laboratories (see `measure_stain`), checked; JSON writes a list."""

    @classmethod
    def checked(cls, found: Any, where: str) -> "Stains":
        """Statistics as they came from a file.

        Raises:
            BadInput: they are none; the sentence begins with `where`.
        """
        sound = isinstance(found, list | tuple) and len(found) <= MOST_LABORATORIES
        if not sound or not all(_is_sound(s) for s in found):
            raise BadInput(
                f"{where} has stains that are no list of at most {MOST_LABORATORIES} laboratories, "
                f"each with name and mean (3) and covariance (3×3) of {', '.join(REGIONS)}: make "
                "them anew with `python -m bloodcell stains`."
            )
        kept = ("name", "n", *REGIONS)
        return cls({k: s[k] for k in kept if k in s} for s in found)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(s["name"] for s in self)

    @cached_property
    def _means(self) -> np.ndarray:
        return np.array([[s[r]["mean"] for r in REGIONS] for s in self], np.float64)

    @cached_property
    def _covariances(self) -> np.ndarray:
        return np.array([[s[r]["covariance"] for r in REGIONS] for s in self], np.float64)

    @cached_property
    def _maps(self) -> np.ndarray:
        """float64, L×L×R×3×3: from one laboratory to another, of each region, about its mean."""
        count = len(self)
        maps = np.zeros((count, count, len(REGIONS), 3, 3))
        for a in range(count):
            for b in range(count):
                for r in range(len(REGIONS)):
                    maps[a, b, r] = _monge(self._covariances[a, r], self._covariances[b, r])
        return maps

    @cached_property
    def _precisions(self) -> np.ndarray:
        return np.linalg.inv(self._covariances + 0.005 * np.eye(3))

    def nearest(self, means: np.ndarray) -> int:
        """The laboratory whose means are nearest to those of an image.

        Args:
            means: float, R×3: of its regions, NaN where it has none.
        """
        gap = np.nan_to_num(means[None] - self._means)
        return int(np.einsum("lri,lrij,lrj->l", gap, self._precisions, gap).argmin())

    def carried(
        self, image: np.ndarray, target: int, amount: float = 1.0, source: int | None = None
    ) -> np.ndarray:
        """An image as laboratory `target` would show it.

        Args:
            image: uint8, H×W×3, RGB.
            amount: 0 leaves it, 1 is the whole way.
            source: the laboratory that it is from; None: the one it is nearest to.

        Returns:
            uint8, H×W×3.
        """
        density = cv2.LUT(np.ascontiguousarray(image), _DENSITY)
        shares = _shares(image)
        means = _region_means(density, shares)
        source = self.nearest(means) if source is None else source
        if source == target or amount == 0:
            return image
        # A cell may differ from its laboratory so far; beyond, its own colours are what is moved.
        gap = np.nan_to_num(means - self._means[source])
        begin = self._means[source] + gap - np.clip(gap, -OWN, OWN)
        moved = np.zeros_like(density)
        for r, share in enumerate(shares):
            linear = self._maps[source, target, r]
            offset = self._means[target, r] - linear @ begin[r]
            moved += share[..., None] * cv2.transform(density, np.column_stack([linear, offset]))
        if amount < 1:
            moved = amount * moved + (1 - amount) * density
        light = cv2.exp(-np.maximum(moved, 0))
        return cv2.convertScaleAbs(cv2.max(light, 1 / 256), alpha=256, beta=-1)


def _region_means(density: np.ndarray, shares: list[np.ndarray]) -> np.ndarray:
    """float64, R×3: the mean density of each region, NaN where it is hardly there."""
    flat = density.reshape(-1, 3)
    found = np.full((len(shares), 3), np.nan)
    for r, share in enumerate(shares):
        size = float(share.sum())
        if size >= LEAST_SHARE * share.size:
            found[r] = share.ravel() @ flat / size
    return found


def _is_sound(found: Any) -> bool:
    if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):
        return False
    named = 0 < len(found["name"]) <= LONGEST_NAME and isinstance(found.get("n", 0), int)
    try:
        return named and all(_is_region(found[region]) for region in REGIONS)
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def _is_region(found: Mapping[str, Any]) -> bool:
    mean = np.array(found["mean"], np.float64)
    covariance = np.array(found["covariance"], np.float64)
    if mean.shape != (3,) or covariance.shape != (3, 3):
        return False
    # Written so that NaN, which compares with nothing, is refused.
    small = (np.abs(mean) < 10).all() and (np.abs(covariance) < 100).all()
    return bool(small and np.linalg.eigvalsh(covariance + covariance.T).min() > -1e-3)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _monge(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """float64, 3×3, symmetric: A with A·source·A = target, its stretch bounded."""
    source, target = source + RIDGE * np.eye(3), target + RIDGE * np.eye(3)
    root = _root(source)
    back = np.linalg.inv(root)
    linear = back @ _root(root @ target @ root) @ back
    values, vectors = np.linalg.eigh((linear + linear.T) / 2)
    return (vectors * np.clip(values, 1 / STRETCH, STRETCH)) @ vectors.T


BUILT_IN = Stains(LABORATORIES)


def stain_transfer(canvas: Canvas, p: Parameters, rng: np.random.Generator) -> None:
    """Carry the colours by `amount` of the way to another laboratory, drawn at random."""
    stains = p.get("stains") or BUILT_IN
    image = canvas.settle()
    target = int(rng.integers(len(stains)))
    amount = float(p["amount"]) * float(rng.uniform(0.5, 1.0))
    if not p["amount"] or len(stains) < 2:
        return
    canvas.put(stains.carried(image, target, amount))


AUGMENTATIONS = (
    Augmentation(
        "stain_transfer",
        "Stain transfer",
        "colour",
        "Shows the cell in another laboratory's stain and camera, from stored statistics.",
        "Colour transfer in optical density by region (Reinhard 2001; Pitié and Kokaram 2007), "
        "fixed for a pair of laboratories (Chossegros et al. 2024)",
        (
            strength(
                1.0,
                1.0,
                "How far the colours are carried, half of this to all of it; 1 is the whole way.",
            ),
        ),
        stain_transfer,
        cue=COLOUR_CUE,
    ),
)
