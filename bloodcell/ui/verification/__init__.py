"""The Verification page: readers compared, and a machine verified against them."""
