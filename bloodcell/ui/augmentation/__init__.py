"""The Augmentation page: compose a policy, see it, keep it."""
