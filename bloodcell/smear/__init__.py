"""From photographs of a smear to its differential: find, classify, count."""
