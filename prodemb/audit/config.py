"""The settings of the audit."""

from pydantic import Field

from prodemb.core.config import Config


class AuditConfig(Config):
    """`[audit]`: which answers are held against what partners sent."""

    min_confidence: float = Field(default=0.5, ge=0.5, le=1)
    """Confidence from which an answer contradicts a supplied value; a category that has less is answered by a node
    above it that has as much."""
