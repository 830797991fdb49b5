"""Category paths as text."""


def plain_path(path: str) -> str:
    """A path without case and spacing, for comparison."""
    return ">".join(" ".join(name.split()).casefold() for name in path.split(">"))
