"""The Evaluation page: create ensembles, evaluate and export them."""
