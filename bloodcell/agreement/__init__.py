"""Agreement of readers on cells and of methods on smears; verifications planned beforehand."""
