"""The Classify page: photographs in, answers out."""
