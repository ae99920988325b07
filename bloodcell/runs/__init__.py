"""A run's folder, and the processes that carry runs out."""
