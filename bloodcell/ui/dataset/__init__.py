"""The Dataset page: import, see, clean, split, keep."""
