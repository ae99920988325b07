"""What the kinds of finding and of decision are called on the page."""

__all__ = ["DECIDED", "KIND_TITLES", "KIND_WORDS", "reason_words"]

KIND_TITLES = {
    "exact_duplicate": "Copies",
    "conflicting_label": "Copies under different labels",
    "near_duplicate": "Near copies",
    "outlier": "Outliers",
    "suspect_label": "Doubtful labels",
}
KIND_WORDS = {
    "exact_duplicate": "The same pixels more than once under one label: the first is to stay, the "
    "others add nothing.",
    "conflicting_label": "The same pixels under several labels: nobody can tell which is right, "
    "so none is to stay.",
    "near_duplicate": "Almost the same picture, for example of one cell twice.",
    "outlier": "Pictures unlike all others: foreign ones, none or no whole cell, and cells that "
    "are odd but real. Only the former are suggested to be excluded.",
    "suspect_label": "Cells whose look contradicts their label.",
}
DECIDED = {"exclude": "excluded", "relabel": "relabelled", "keep": "kept"}


def reason_words(reason: str) -> str:
    """A reason as shown: the kind of a finding by its title."""
    return KIND_TITLES.get(reason, reason)
