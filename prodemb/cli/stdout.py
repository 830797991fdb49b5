"""Writing to stdout, whoever reads it."""

from collections.abc import Iterator
from contextlib import contextmanager

from prodemb.core.errors import OutputError


@contextmanager
def on_stdout() -> Iterator[None]:
    """Say of a failure that it is of stdout; that its reader has gone is typer's to handle."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"stdout: cannot be written: {error.strerror}; completed work is kept") from error
