"""``python -m bloodcell VERB``: see :mod:`bloodcell.cli`."""

from bloodcell.cli import main

if __name__ == "__main__":
    main()
