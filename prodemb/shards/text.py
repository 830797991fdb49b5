"""The text vector: some fields of a product joined by a template, through a text encoder that is not CLIP's."""

from pydantic import Field, field_validator

from prodemb.core.config import Config
from prodemb.core.features import Feature
from prodemb.core.template import Template

MAX_DIM = 65_536
"""Most numbers in a vector."""


class TextKind(Config):
    """What makes one text vector comparable with another."""

    fingerprint: str
    """Of the text encoder."""
    model: str
    """Its name as the user gave it, for people; the fingerprint decides."""
    template: tuple[str, ...]
    """What joins the fields (`prodemb.core.template.Template`)."""
    dim: int = Field(ge=1, le=MAX_DIM)
    """Numbers in a vector."""

    @field_validator("template")
    @classmethod
    def _names_a_field(cls, template: tuple[str, ...]) -> tuple[str, ...]:
        if not Template(template).features:
            raise ValueError("found no part, wanted one or more such as '{title}'")
        return template

    @property
    def features(self) -> tuple[Feature, ...]:
        """The fields that a text vector is made of."""
        return Template(self.template).features

    @property
    def encoder(self) -> str:
        """Vectors of two kinds are comparable where this is the same."""
        return text_encoder(self.fingerprint, template=self.template)

    def like(self, other: "TextKind") -> bool:
        """Whether both make the same vectors, whatever the model is called."""
        return self.encoder == other.encoder and self.dim == other.dim


def text_encoder(fingerprint: str, *, template: tuple[str, ...]) -> str:
    """The name of what a text encoder with this fingerprint makes of the texts of a template."""
    return f"text {fingerprint} {list(template)}"
