"""From the bytes of a photograph to the square that a network is shown."""
