"""Every augmentation there is, by key.

Each is declared once, beside the function that does it; widgets, validation, the command line
and the documentation are made from these declarations. All strengths are 0 where nothing is to
happen, lengths are shares of the image's side, and colours are on the scale 0–255 unless a unit
says otherwise.
"""

from typing import Any

from bloodcell.augment import chains, colour, geometry, mixing, platelets, stain_transfer, texture
from bloodcell.augment.declaration import Augmentation, Parameter

__all__ = ["CATALOGUE", "Augmentation", "Parameter", "catalogue_json"]

CATALOGUE: dict[str, Augmentation] = {
    augmentation.key: augmentation
    for module in (geometry, colour, stain_transfer, texture, platelets, chains, mixing)
    for augmentation in module.AUGMENTATIONS
}


def catalogue_json() -> list[dict[str, Any]]:
    """The catalogue as data: what a person or a program needs to write a policy."""
    return [
        {
            "key": a.key,
            "title": a.title,
            "group": a.group,
            "summary": a.summary,
            "source": a.source,
            "mixes_labels": a.mixes_labels,
            "caution": a.cue.sentence if a.cue else "",
            "parameters": [
                {
                    "key": p.key,
                    "title": p.title,
                    "kind": p.kind,
                    "low": bool(p.low) if p.kind == "switch" else p.low,
                    "high": bool(p.high) if p.kind == "switch" else p.high,
                    "default": p.default,
                    "unit": p.unit,
                    "sensible": [bool(v) for v in p.sensible]
                    if p.kind == "switch"
                    else list(p.sensible),
                    "help": p.help,
                }
                for p in a.parameters
            ],
        }
        for a in CATALOGUE.values()
    ]
