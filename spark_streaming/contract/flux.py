"""Names and values in the text of a Flux query."""

import json


def quote_flux(text: str) -> str:
    """A string of Flux: JSON's, but letters stand for themselves, and `${` would be looked into."""
    return json.dumps(text, ensure_ascii=False).replace("${", "\\${")
