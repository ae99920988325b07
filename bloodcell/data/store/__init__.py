"""A dataset on disk: its images and items, what was decided about them, the library of them all."""
