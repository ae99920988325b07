"""Pictures that this package draws or makes up itself."""
