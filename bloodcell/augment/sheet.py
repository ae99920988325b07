"""Contact sheets: rows of pictures with words beside them, as one image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bloodcell.augment.apply import apply, augmenter
from bloodcell.augment.catalogue import CATALOGUE
from bloodcell.augment.policy import Policy, Step
from bloodcell.classes import CLASSES

__all__ = ["Row", "catalogue_sheet", "draw_sheet", "policy_sheet"]

GAP, MARGIN, TEXT_WIDTH, HEAD, BAR = 4, 12, 190, 32, 5
INK, FAINT, PAPER = (31, 26, 43), (110, 105, 122), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """A row of a sheet.

    Attributes:
        title, note: written beside it; the note is fainter and may have several lines.
        images: uint8, B×H×W×3.
        labels: float32, B×8, of which mixed ones are drawn as a bar; or None.
    """

    title: str
    note: str
    images: np.ndarray
    labels: np.ndarray | None = None


def draw_sheet(rows: Sequence[Row], heads: Sequence[str] = ()) -> np.ndarray:
    """Put rows below each other.

    Args:
        rows: at least one; all images of one size.
        heads: words above the columns.

    Returns:
        uint8, H×W×3, RGB.
    """
    high, wide = rows[0].images.shape[1:3]
    columns = max(len(row.images) for row in rows)
    step, line = max(high, 48) + GAP, ImageFont.load_default(11)
    head = HEAD if heads else 0
    size = (
        2 * MARGIN + TEXT_WIDTH + columns * (wide + GAP) - GAP,
        2 * MARGIN + head + len(rows) * step - GAP,
    )
    sheet = Image.new("RGB", size, PAPER)
    pen, bold = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, text in enumerate(heads):
        x = MARGIN + TEXT_WIDTH + i * (wide + GAP)
        pen.multiline_text((x, MARGIN), _wrapped(text, line, wide), INK, line, spacing=2)
    for j, row in enumerate(rows):
        y = MARGIN + head + j * step
        pen.text((MARGIN, y), _cut(row.title, bold, TEXT_WIDTH - 8), INK, bold)
        pen.multiline_text(
            (MARGIN, y + 19), _wrapped(row.note, line, TEXT_WIDTH - 12), FAINT, line, spacing=2
        )
        for i, image in enumerate(row.images):
            x = MARGIN + TEXT_WIDTH + i * (wide + GAP)
            sheet.paste(Image.fromarray(np.ascontiguousarray(image)), (x, y))
            if row.labels is not None:
                _draw_bar(pen, row.labels[i], x, y + high, wide)
    return np.asarray(sheet)


def _cut(text: str, font: ImageFont.ImageFont, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text


def _wrapped(text: str, font: ImageFont.ImageFont, width: int) -> str:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines[:5])


def _draw_bar(pen: ImageDraw.ImageDraw, label: np.ndarray, x: int, foot: int, wide: int) -> None:
    if label.max() > 0.995:
        return
    left = 0.0
    for k in np.argsort(-label):
        right = left + float(label[k]) * wide
        pen.rectangle((x + left, foot - BAR, x + right, foot - 1), CLASSES[k].colour)
        left = right


def policy_sheet(
    policy: Policy,
    images: np.ndarray,
    labels: np.ndarray,
    copies: int = 8,
    seed: int = 0,
    engine: str = "own",
) -> np.ndarray:
    """A row for each image: the original, then what the policy makes of it.

    Args:
        images: uint8, B×H×W×3. labels: int64, B.
        copies: variants of each.
        engine: what carries it out, one of `bloodcell.augment.ENGINES`.

    Returns:
        uint8, H×W×3, RGB.
    """
    n, one_hot = len(images), np.eye(len(CLASSES), dtype=np.float32)[labels]
    made, mixed = augmenter(policy, engine)(
        np.repeat(images, copies, 0), np.repeat(one_hot, copies, 0), _rng(seed)
    )
    made, mixed = made.reshape(n, copies, *made.shape[1:]), mixed.reshape(n, copies, -1)
    rows = [
        Row(
            CLASSES[k].title,
            "",
            np.concatenate([images[i : i + 1], made[i]]),
            np.concatenate([one_hot[i : i + 1], mixed[i]]),
        )
        for i, k in enumerate(labels)
    ]
    named = policy.name if engine == "own" else f"{policy.name}, {engine}"
    return draw_sheet(rows, ("original", named))


def catalogue_sheet(images: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """A row for each augmentation, at its defaults, below the originals.

    Args:
        images: uint8, B×H×W×3. labels: int64, B.

    Returns:
        uint8, H×W×3, RGB.
    """
    one_hot = np.eye(len(CLASSES), dtype=np.float32)[labels]
    rows = [Row("Original", "", images)]
    for key, augmentation in CATALOGUE.items():
        policy = Policy(key, (Step(key, 1.0, augmentation.defaults()),))
        made, mixed = apply(policy, images, one_hot, _rng(seed))
        rows.append(Row(augmentation.title, augmentation.summary, made, mixed))
    return draw_sheet(rows, tuple(CLASSES[k].title for k in labels))


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
