"""The Dataset page's findings: the audit, its groups, and what is decided about them."""
