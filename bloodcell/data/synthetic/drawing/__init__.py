"""Drawn blood cells, empty fields and pictures of other things."""
