"""What an ensemble says of itself: ``ensemble.json``, read once into values that can be relied on.

An ensemble may come from anywhere, so every value that is used is checked here and nowhere else.
To add a part: a field with a default, so that files without it open as before; what this version
does not know is kept and written back as it was.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.imaging.cropping import Field as FieldOfView
from bloodcell.data.split import BY, NO_FOLD, check_fold, check_shares
from bloodcell.errors import BadInput
from bloodcell.files import check_checksum, with_checksum

__all__ = [
    "FORMAT_VERSION",
    "Adaptation",
    "Cascade",
    "Contribution",
    "Description",
    "Member",
    "read_description",
]

FORMAT_VERSION = 1
MAX_MEMBERS = 32
LONGEST_TEXT = 10_000
MOST_ROWS = 100_000

Kind = TypeVar("Kind")


def _expected(words: str) -> WrapValidator:
    """Say `words` in place of what pydantic says of a value, or of anything inside of it."""

    def check(value: Any, within: Callable[[Any], Any]) -> Any:
        try:
            return within(value)
        except (ValidationError, BadInput) as error:
            raise PydanticCustomError("expected", "{words}", {"words": words}) from error

    return WrapValidator(check)


def _passes(check: Callable[[Any], None]) -> Callable[[Any], Any]:
    def checked(value: Any, within: Callable[[Any], Any]) -> Any:
        check(value)
        return within(value)

    return checked


def _number(low: float, high: float, words: str, kind: type = float) -> Any:
    finite = None if kind is int else False
    limits = Field(strict=True, ge=low, le=high, allow_inf_nan=finite)
    return Annotated[kind, limits, _expected(words)]


def _rising(value: Any) -> None:
    if value is not None and list(value) != sorted(value):
        raise BadInput("not rising")


Text = Annotated[str, Field(strict=True, max_length=LONGEST_TEXT), _expected("a text")]
Name = Annotated[
    str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}\z"), _expected("a name")
]
Share = _number(0, 1, "a share")
Probability = _number(0, 1, "a number from 0 to 1")
AtLeast0 = _number(0, 1e9, "a number from 0")
Limit = _number(1e-6, 1e9, "a number above 0")
Count = _number(1, 10**12, "a whole number from 1", int)
Side = _number(1, 1_000_000, "a side in pixels", int)
Colour = tuple[*(_number(0, 255, "0 to 255"),) * 3]
Extent = _number(1e-6, 10, "a share")
Yes = Annotated[bool, Field(strict=True), _expected("true or false")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Member(_Part):
    """One network: its files, and what it counts.

    Attributes:
        file, features, basis, detector: files of the bundle; earlier ensembles lack the last two.
        weight: at least 0; the sum over the members need not be 1.
        novelty_scale: the distance to known cells that counts as 1.
        novelty_weight: what it counts where novelty is averaged over the members.
        recipe: the runs that made it, see :func:`bloodcell.runs.recipe.recipe_of`.
    """

    name: Name
    file: Text
    features: Text
    basis: Text | None = None
    detector: Text | None = None
    backbone: Text
    input_size: Any = None
    weight: AtLeast0
    run: Text
    novelty_scale: _number(1e-12, 1e9, "a number above 0")
    novelty_weight: AtLeast0 = 1.0
    validation_accuracy: Share
    recipe: Any = None


class LaboratoryLeftOut(_Part):
    """What would be refused of a laboratory whose cells had not been looked at."""

    name: Text
    n: _number(0, MOST_ROWS, "a whole number from 0", int)
    refused: Share


class Novelty(_Part):
    """From which distance on an image is none of the eight.

    Attributes:
        levels: [share, novelty that this share of known cells stays below].
        laboratories: those that were left out in turn when the limit was chosen: of their ``n``
            cells the share ``refused``.
        stained: limits of :mod:`bloodcell.ensemble.stained`; None in earlier ensembles.
    """

    method: Text
    neighbours: _number(1, 10_000, "a whole number from 1", int)
    threshold: AtLeast0
    levels: Annotated[
        tuple[tuple[AtLeast0, AtLeast0], ...],
        Field(max_length=MOST_ROWS),
        _expected("a list of [share, novelty]"),
    ] = ()
    laboratories: tuple[LaboratoryLeftOut, ...] = ()
    stained: Annotated[tuple[Limit, Limit] | None, _expected("two numbers above 0")] = None


class Cut(_Part):
    """How the training photographs were cut, as ``ensemble.json`` says it."""

    crop_px: Annotated[Side | None, _expected("a side in pixels or null")]
    source_sizes: Annotated[
        tuple[tuple[Side, Side], ...],
        Field(max_length=MOST_ROWS),
        _expected("a list of [width, height]"),
    ]
    stained: Annotated[
        tuple[Extent, Extent, Extent] | None,
        WrapValidator(_passes(_rising)),
        _expected("three rising shares or null"),
    ]

    @property
    def field_of_view(self) -> FieldOfView:
        """What :meth:`bloodcell.data.imaging.cropping.Field.to_json` made."""
        sizes = frozenset((height, width) for width, height in self.source_sizes)
        return FieldOfView(self.crop_px, sizes, self.stained)


class Light(_Part):
    """The empty field of the training photographs, RGB.

    Attributes:
        background: at 5 %, 50 % and 95 % of the photographs.
        known: every background that they have; empty for earlier ensembles.
    """

    background: Annotated[tuple[Colour, Colour, Colour], _expected("three colours of 0 to 255")]
    known: Annotated[
        tuple[Colour, ...] | None,
        Field(max_length=MOST_ROWS),
        _expected("a list of colours of 0 to 255"),
    ] = None


class Conformal(_Part):
    """The probability from which on a class belongs to the prediction set.

    Attributes:
        thresholds: [coverage, probability] for those that a reader may choose from.
        n: images that they were taken from; None for earlier ensembles.
        set_apart: these images chose neither epoch nor weights nor temperature.
    """

    coverage: Share
    threshold: Probability
    thresholds: Annotated[
        tuple[tuple[Share, Probability], ...],
        Field(max_length=MOST_ROWS),
        _expected("a list of [coverage, probability]"),
    ] = ()
    n: Count | None = None
    set_apart: Yes = False

    def by_coverage(self) -> dict[float, float]:
        """Coverage → threshold, as fitted on validation."""
        return dict(self.thresholds) or {self.coverage: self.threshold}


class TrainedOn(_Part):
    """The dataset that the members learned from, and how it was divided."""

    dataset: Text
    source: Text
    fingerprint: Text = ""
    curation_fingerprint: Text = ""
    images_seen: _number(0, 10**12, "a whole number from 0", int) = 0
    split_seed: _number(0, 2**63, "a whole number from 0", int)
    split_shares: Annotated[
        tuple[float, float, float],
        WrapValidator(_passes(check_shares)),
        _expected("three shares that sum to 1"),
    ]
    split_fold: Annotated[
        tuple[int, int],
        WrapValidator(_passes(check_fold)),
        _expected("two whole numbers such as 2, 5"),
    ] = NO_FOLD
    split_by: Annotated[Literal[BY], _expected(f"one of {', '.join(BY)}")] = BY[0]
    split_hold_out: Text = ""


class Contribution(_Part):
    """What one member adds, on the same images; see :mod:`bloodcell.ensemble.weights`."""

    accuracy: Share


class OnValidation(_Part):
    """What was measured on the images that everything was fitted on."""

    n: Count
    accuracy: Share
    without: tuple[Contribution, ...] = ()


class Measured(_Part):
    """Where the ensemble was measured."""

    validation: OnValidation


class CascadeMeasured(_Part):
    """What a cascade costs, beside all members on every image, on ``n`` cells that chose nothing.

    Attributes:
        decided: share that the first member answered alone.
        viewed: share that was shown in all views; None without views.
        p_value: McNemar's exact test of the two accuracies.
        out_of_distribution: pictures of none of the eight, of which the shares were refused.
    """

    n: Count
    decided: Share
    accuracy: Share
    accuracy_of_all: Share
    p_value: Share
    ece: Share
    ece_of_all: Share
    recognised: Share
    recognised_by_all: Share
    out_of_distribution: _number(0, MOST_ROWS, "a whole number from 0", int)
    refused: Share
    refused_by_all: Share
    viewed: Share | None = None


class Cascade(_Part):
    """One member answers alone where it is sure; see :mod:`bloodcell.ensemble.cascade`.

    Attributes:
        first: its name.
        temperature: of its probabilities alone.
        probability: it is sure from this one on, calibrated,
        novelty: and up to this one, of its own.
        settled: with views, where all members, shown the image as it is, are less sure than this,
            they are shown its flips and turns too; None: wherever they are asked.
    """

    first: Name
    temperature: _number(1e-3, 1e3, "a number from 0.001 to 1000")
    probability: Probability
    novelty: AtLeast0
    measured: CascadeMeasured
    settled: Probability | None = None


class Adaptation(_Part):
    """The laboratory that an ensemble was adapted to; what was measured is kept beside it.

    Attributes:
        parent: the ensemble that it was made from.
        laboratory, dataset, fingerprint: whose cells, and where they came from.
        used: class → cells that its head was fitted on; empty if they had no labels.
        file: of the bundle, see :class:`bloodcell.ensemble.adapted_head.AdaptedHead`.
    """

    parent: Text
    laboratory: Text
    dataset: Text
    fingerprint: Text = ""
    used: Annotated[
        dict[Text, _number(0, 10**9, "a whole number from 0", int)],
        _expected("an object of classes and numbers of cells"),
    ]
    file: Text = "adapted.npz"


class Description(_Part):
    """The whole of ``ensemble.json``.

    Attributes:
        files: file of the bundle → SHA-256 of its content.
        field, light: not there in earlier ensembles.
        weighting: "found on validation" or "given".
        left_out: runs that weighed nothing.
        balance: the empty field of the laboratory, brought to that of the training photographs
            before anything is looked at; None: photographs are looked at as they are.
        cascade: how most images are answered by one member; None: all members answer each.
        home: file of the cells that an adaptation keeps; None if it has none yet.
        adapted: to another laboratory; None if it was not.
    """

    format_version: int
    name: Text
    created: Text
    bloodcell_version: Text
    classes: tuple[str, ...]
    input_size: _number(16, 1024, "16 to 1024 pixels", int)
    crop: Text
    members: Annotated[
        tuple[Member, ...],
        Field(min_length=1, max_length=MAX_MEMBERS),
    ]
    temperature: _number(1e-3, 1e3, "a number from 0.001 to 1000")
    tta: Yes
    novelty: Novelty
    field: Cut | None = None
    light: Light | None = None
    conformal: Conformal
    weighting: Text = "given"
    left_out: tuple[Text, ...] = ()
    trained_on: TrainedOn
    measured: Measured
    cascade: Cascade | None = None
    balance: Annotated[Colour | None, _expected("a colour of 0 to 255 or null")] = None
    home: Text | None = None
    adapted: Adaptation | None = None
    files: Annotated[dict[Text, Text], _expected("an object of names and checksums")]

    @property
    def field_of_view(self) -> FieldOfView:
        """How photographs are cut; one that does not say takes the centre square."""
        known = self.field and self.field.field_of_view
        return known or FieldOfView(None, frozenset(), None)

    def by_cascade(self, tta: bool | None) -> bool:
        """Whether images are answered by the cascade: if there is one, and nothing else is asked.

        Args:
            tta: None: as the ensemble was composed; otherwise all members look at each image, and
                True: at its eight flips and turns.
        """
        return tta is None and self.cascade is not None

    def views(self, tta: bool | None) -> bool | None:
        """The same value for the same answers: None for the cascade, else whether with views."""
        return None if self.by_cascade(tta) else bool(self.tta if tta is None else tta)

    def asked(self, tta: bool | None) -> list[Member]:
        """The members that look at every image."""
        if not self.by_cascade(tta):
            return list(self.members)
        return [m for m in self.members if m.name == self.cascade.first]

    def to_json(self) -> dict[str, Any]:
        """As it is written: none of the keys that were given lost, and a checksum of them all."""
        return with_checksum(self.model_dump(mode="json", exclude_unset=True))

    def changed(self, **values: Any) -> "Description":
        """The same with other values for some of its fields."""
        return self.model_copy(update=values)


def read_description(text: str | bytes | dict[str, Any], where: str) -> Description:
    """The content of an ``ensemble.json``, checked.

    Args:
        text: the file's, or what is to be written there.
        where: the ensemble's path, for the sentence.

    Raises:
        BadInput: it is not JSON, or of another version, or of other classes, or holds a value that
            cannot be.
    """
    again = "restore the ensemble from a copy or make it again."
    try:
        found = text if isinstance(text, dict) else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{where}: its ensemble.json is not readable as JSON ({error}): {again}"
        ) from error
    _check_kind(found, where)
    try:
        check_checksum(found, f"{where}: its ensemble.json")
        description = Description.model_validate(found)
        # What is not known here is kept: it must be possible to write it.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except ValidationError as error:
        raise BadInput(f"{where}: its ensemble.json {_sentence(error)}: {again}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{where}: its ensemble.json holds what JSON cannot ({error}): {again}"
        ) from error
    if not sum(m.weight for m in description.members) > 0:
        raise BadInput(f"{where}: the weights of all its members are 0: make the ensemble again.")
    if description.cascade is not None and len(description.asked(None)) != 1:
        raise BadInput(
            f"{where}: its cascade begins with {_short(description.cascade.first)}, expected the "
            "name of one of its members: make the ensemble again."
        )
    return description


def _check_kind(found: Any, where: str) -> None:
    if not isinstance(found, dict) or not {"format_version", "classes", "members"} <= set(found):
        raise BadInput(
            f"{where}: its ensemble.json is not that of an ensemble: "
            "give one that `python -m bloodcell ensemble` wrote."
        )
    version, classes = found["format_version"], found["classes"]
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{where} has format_version {_short(version)} where {FORMAT_VERSION} was expected: "
            "use the version of BloodCell Lab that wrote it, or make the ensemble again."
        )
    if classes != list(CLASS_NAMES):
        raise BadInput(
            f"{where} tells the classes {_short(classes)} apart, expected "
            f"{', '.join(CLASS_NAMES)}: choose an ensemble of the eight blood cells."
        )


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong: "has temperature 0, expected a number from 0.001 to 1000"."""
    first = error.errors(include_url=False)[0]
    key = re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, first["loc"])))
    if first["type"] == "missing":
        return f"lacks {key}"
    words = {
        "expected": first["msg"],
        "model_type": "an object",
        "tuple_type": "a list",
        "too_long": f"a list of at most {MAX_MEMBERS}",
        "too_short": f"a list of 1 to {MAX_MEMBERS}",
    }.get(first["type"], first["msg"])
    return f"has {key} {_short(first['input'])}, expected {words}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "..."
