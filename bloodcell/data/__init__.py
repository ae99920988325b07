"""Images in: readers → dataset → split → pipeline; drawn cells and downloads."""

__all__ = [
    "archive",
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
