"""The model card of an ensemble, prefilled with what the files know."""

import hashlib
from pathlib import Path

from bloodcell.ensemble.bundle import Bundle, write_zip
from bloodcell.ensemble.description import Cascade, Description
from bloodcell.errors import BadInput
from bloodcell.files import write_json, write_text
from bloodcell.locks import changing
from bloodcell.runs.recipe import recipe_text

__all__ = ["add_to_card", "card_text"]


def card_text(description: Description) -> str:
    """Markdown for ``card.md``, after Mitchell et al., "Model cards", FAT* 2019.

    Args:
        description: the content of ``ensemble.json``.
    """
    trained, measured = description.trained_on, description.measured.validation
    members = "\n".join(
        f"| {m.name} | {m.backbone} | {m.weight:.3f} | "
        f"{100 * m.validation_accuracy:.2f} % | {m.run} |"
        for m in description.members
    )
    found = description.weighting == "found on validation"
    weighted = "found by greedy selection on validation images" if found else "as given"
    without = "".join(
        f" Without {m.name} it would be {100 * w.accuracy:.2f} %."
        for m, w in zip(description.members, measured.without, strict=False)
    )
    count = len(description.members)
    many = f"An ensemble of {count} neural networks that tell"
    if count == 1:
        many = "A neural network that tells"
    turned = "of the image as it is"
    if description.tta:
        turned = "averaged over the eight flips and turns"
    conformal = description.conformal
    cascade = ""
    if description.cascade is not None:
        cascade = f"\n\n{_cascade_text(description)}"
    thresholds = (
        "There were too few validation images to set some apart: the thresholds come from "
        "those\nthat chose everything else too, so the coverage is approximate."
    )
    if conformal.set_apart and conformal.n is not None:
        thresholds = (
            f"Both thresholds were taken from {conformal.n:,} validation images that chose neither "
            "epoch nor\nweights nor temperature."
        )
    refused = "at most 1 % of the\ncells it was taken from lie above it."
    if left_out := description.novelty.laboratories:
        told = ", ".join(f"{f.name} {100 * f.refused:.1f} % of {f.n:,}" for f in left_out)
        refused = (
            "the limit was\nraised until cells of a laboratory that is left out are accepted. Of "
            f"those left out in turn it\nrefused: {told}; the networks had seen them."
        )
    return f"""# {description.name}

{many} eight kinds of blood cell apart
in photographs of single cells ({description.input_size}×{description.input_size} pixels, RGB).
Made on {description.created} by BloodCell Lab {description.bloodcell_version}.

**For research use only. Not a medical device.** Intended for research on telling these cells
apart; not for diagnosis, and not for cells or stains other than those it was measured on.

| member | backbone | weight | validation accuracy | run |
|---|---|---|---|---|
{members}

The members' probabilities, {turned}, are averaged with these weights
({weighted}) and calibrated with a temperature of {description.temperature:.3f}. An image is
called "none of the eight" above a novelty of
{description.novelty.threshold:.3f} ({description.novelty.method}); {refused} Prediction sets aim at
{100 * description.conformal.coverage:g} % coverage, on data like the training data.
{thresholds}{cascade}

## Data

Dataset `{trained.dataset}` from {trained.source}; cropped: {description.crop}. The members saw
{trained.images_seen:,} different images in training and validation; their identities lie in
`seen.npy` so that they are never counted as test. Images come without patient ids: parts were
divided by image, which makes every score on them optimistic.

{recipe_text([m.model_dump(include={"name", "recipe"}) for m in description.members])}
## Measured

Accuracy on {measured.n:,} validation images, on which everything else was fitted:
{100 * measured.accuracy:.2f} %.{without} For an honest figure, evaluate it on a
test part or on cells from another laboratory.

## Limits

{_known_places(description)}:
expect it to be wrong, and wrongly sure, elsewhere. Only the eight classes in `ensemble.json` are
known.
"""


def _known_places(description: Description) -> str:
    names = [found.name for found in description.novelty.laboratories]
    if len(names) < 2:
        return "One laboratory, one stain and one camera per dataset"
    return f"It knows the stains and cameras of {', '.join(names[:-1])} and {names[-1]}"


def _cascade_text(description: Description) -> str:
    """What the cascade does and costs."""
    c = description.cascade
    m = c.measured
    rows = [
        ("accuracy", m.accuracy, m.accuracy_of_all),
        ("calibration error", m.ece, m.ece_of_all),
        ("recognised", m.recognised, m.recognised_by_all),
        (f"refused of {m.out_of_distribution:,} synthetic images", m.refused, m.refused_by_all),
    ]
    table = "\n".join(f"| {what} | {100 * a:.2f} | {100 * b:.2f} |" for what, a, b in rows)
    return f"""### Cascade

{c.first} looks at every image once and answers alone from a probability of {c.probability:g} and
up to a novelty of {c.novelty:.3f}; elsewhere all members are asked{_views_text(c)}. So it decided
{100 * m.decided:.1f} % of {m.n:,} validation images that chose nothing (p = {m.p_value:.2g},
McNemar, for the difference in accuracy):

| % | cascade | all members |
|---|---|---|
{table}"""


def _views_text(cascade: Cascade) -> str:
    """Where the flips and turns are shown, after "all members are asked"."""
    viewed = cascade.measured.viewed
    if viewed is None:
        return ""
    share = f"({100 * viewed:.1f} % of the images)"
    if cascade.settled is None:
        return f",\nwith flips and turns {share}"
    where = f"they are less sure than {cascade.settled:g} then"
    return f", and where\n{where}, with flips and turns too {share}"


def add_to_card(path: Path, text: str) -> str:
    """Append Markdown to the card of an ensemble, in its folder and in the zip beside it.

    Returns:
        The whole card.

    Raises:
        BadInput: it is no folder, or damaged.
    """
    if not path.is_dir():
        raise BadInput(f"{path} is no folder: unpack the ensemble, its card is kept in the folder.")
    # Two people may add at once: each must find what the other has written.
    with changing(path / "card.md", within=path):
        bundle = Bundle(path)
        description, before = bundle.description, bundle.read("card.md").decode("utf-8", "replace")
        card = f"{before.rstrip()}\n\n{text.strip()}\n"
        write_text(path / "card.md", card, within=path)
        digest = hashlib.sha256(card.encode()).hexdigest()
        description = description.changed(files=description.files | {"card.md": digest})
        write_json(path / "ensemble.json", description.to_json(), within=path)
        packed = path.with_name(f"{path.name}.zip")
        if packed.exists():
            write_zip(path, packed)
    return card
