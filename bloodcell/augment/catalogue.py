"""Every augmentation there is, by key.

Each is declared once, beside the function that does it; widgets, validation, the command line
and the documentation are made from these declarations. All strengths are 0 where nothing is to
happen, lengths are shares of the image's side, and colours are on the scale 0–255 unless a unit
says otherwise.
"""

from bloodcell.augment import chains, colour, geometry, mixing, texture
from bloodcell.augment.declaration import Augmentation, Parameter

__all__ = ["CATALOGUE", "Augmentation", "Parameter"]

CATALOGUE: dict[str, Augmentation] = {
    augmentation.key: augmentation
    for module in (geometry, colour, texture, chains, mixing)
    for augmentation in module.AUGMENTATIONS
}
