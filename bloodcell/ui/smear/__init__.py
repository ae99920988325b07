"""The parts of the Smear page."""
