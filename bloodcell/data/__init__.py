"""Images in: readers → store → split → pipeline; imaging, and pictures made up by our own code."""
