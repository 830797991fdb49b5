"""The formats that feeds come in: a file, whatever it is, as batches of raw values, one column per name in the file."""

from prodemb.catalog.formats.detect import open_source
from prodemb.catalog.formats.source import RowBatch, SkippedRow, SkippedRows, Source

__all__ = ["RowBatch", "SkippedRow", "SkippedRows", "Source", "open_source"]
