"""The Training page: launch runs, watch them, compare them."""
