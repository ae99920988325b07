"""BloodCell Lab: train and judge neural networks that tell eight kinds of blood cell apart.

The core package. Nothing in it but :mod:`bloodcell.ui` imports streamlit, and a trained
model is used without importing TensorFlow. Start with ``python -m bloodcell --help``.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
