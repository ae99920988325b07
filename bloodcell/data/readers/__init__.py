"""From files of any kind to a dataset: what is recognised, read rightly, or refused."""
