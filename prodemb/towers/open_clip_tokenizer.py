"""The tokenizer of an open_clip checkpoint with open_clip's own cleaning of texts inside it."""

from pathlib import Path
from typing import Any

from prodemb.core.errors import ModelError
from prodemb.core.streams import silent_stderr
from prodemb.towers.open_clip import OpenClip
from prodemb.towers.text import first_line_of

_PUNCTUATION = r"[!-/:-@\[-`{-~]"
"""string.punctuation of Python, which open_clip takes out of SigLIP's texts."""


def write_tokenizer(source: OpenClip, *, tokenizer: Path, out: Path) -> None:
    """Write the tokenizer of the folder `tokenizer` as open_clip uses it: its cleaning, its length.

    Raises:
        ModelError: there is none, it cannot be loaded, or it is cleaned in a way that is not done here.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        with silent_stderr():
            loaded = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False, local_files_only=True)
            backend = loaded.backend_tokenizer
            _add_cleaning(source, backend=backend)
            special = {name: token for name, token in loaded.special_tokens_map.items() if isinstance(token, str)}
            PreTrainedTokenizerFast(
                tokenizer_object=backend,
                model_max_length=int(source.text.get("context_length", 77)),
                padding_side="right",
                truncation_side="right",
                **special,
            ).save_pretrained(out)
    except ModelError:
        raise
    except Exception as error:  # transformers raises anything on files that do not fit
        raise ModelError(
            f"{tokenizer}: its tokenizer cannot be loaded: {first_line_of(error)}; wanted tokenizer.json and "
            f"tokenizer_config.json as {source.tokenizer} has them, there or by --tokenizer"
        ) from None


def _add_cleaning(source: OpenClip, *, backend: Any) -> None:
    """Put what open_clip does to a text before tokenising it at the head of the tokenizer's own normaliser."""
    from tokenizers import Regex, normalizers

    options = source.text.get("tokenizer_kwargs") or {}
    if unknown := options.keys() - {"clean"}:
        raise source.unsupported("text_cfg", f"tokenizer_kwargs {', '.join(sorted(unknown))}")
    spaces = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    match options.get("clean", "whitespace" if "hf_tokenizer_name" in source.text else None):
        case None:  # CLIP's own tokenizer, which does that itself
            return
        case "whitespace":
            cleaning = spaces
        case "lower":
            cleaning = [*spaces, normalizers.Lowercase()]
        case "canonicalize":
            underscores, punctuation = normalizers.Replace("_", " "), normalizers.Replace(Regex(_PUNCTUATION), "")
            cleaning = [underscores, punctuation, normalizers.Lowercase(), *spaces]
        case other:
            raise source.unsupported("text_cfg", f"tokenizer_kwargs clean = {other!r}")
    own = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([*cleaning, *own])
