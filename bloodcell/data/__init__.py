"""Images in: readers → dataset → audit → split → pipeline; drawn cells and downloads."""

__all__ = [
    "archive",
    "audit",
    "curation",
    "dataset",
    "decode",
    "download",
    "folders",
    "labels",
    "npy",
    "npz",
    "pipeline",
    "readers",
    "sizing",
    "split",
    "tree",
]
