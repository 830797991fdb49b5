"""The page at `/docs`: the OpenAPI description for people, without a script and without a request to anywhere."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_of(description: dict[str, Any]) -> str:
    """An OpenAPI 3.1 description as HTML."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["type_name"] = type_name
    return environment.get_template("page.html.j2").render(description=description)


def type_name(schema: dict[str, Any]) -> str:
    """A JSON schema in few words: `list of Product or null`."""
    if "anyOf" in schema:
        return " or ".join(map(type_name, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {type_name(schema['items'])}"
    return str(schema.get("type", "anything"))
