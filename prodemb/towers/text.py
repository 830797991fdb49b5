"""Strings to token ids, as the checkpoint was trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from prodemb.core.errors import ModelError
from prodemb.core.streams import silent_stderr

_SAMPLES = ["a product", "Größe 42, 100 % coton", "名前 🙂", ""]
"""Texts that any tokenizer must take."""

MAX_CHARACTERS_PER_TOKEN = 16
"""A text is cut to this many characters for each token the tower takes: ten-megabyte descriptions cost nothing."""


@dataclass(frozen=True, kw_only=True)
class TextPreprocessor:
    """A tokenizer and how the model wants its tokens padded."""

    tokenizer: Any
    """A fast tokenizer of transformers."""
    max_length: int
    """Tokens the text tower takes; longer texts are cut, the end token stays."""
    pad_id: int
    pad_to_max: bool
    """SigLIP was trained on texts padded to full length and without a mask, and is only right that way."""
    pad_left: bool
    """Whether padding stands before the text, as the tokenizer of a SigLIP 2 NaFlex may say; else behind it."""
    masked: bool
    """Whether the tower needs an attention mask. CLIP's is causal and pools at the end token: padding is not seen."""
    lowercase: bool
    """SigLIP 2's texts are lower case."""
    prompt: str = ""
    """Stands before each text."""

    @classmethod
    def from_folder(cls, folder: Path, *, config: dict[str, Any]) -> "TextPreprocessor":
        """Load the tokenizer of a checkpoint folder.

        Raises:
            ModelError: there is none, or it cannot be loaded.
        """
        tokenizer, pad_id = load_tokenizer(folder)
        return cls(
            tokenizer=tokenizer,
            max_length=min(num_positions(config), int(tokenizer.model_max_length)),
            pad_id=pad_id,
            pad_to_max=_is_siglip(config),
            pad_left=config.get("model_type") == "siglip2" and tokenizer.padding_side == "left",
            masked=config.get("model_type") not in ("clip", "siglip", "siglip2"),
            lowercase=_is_siglip(config) and int(config["text_config"].get("vocab_size", 0)) > 100_000,
        )

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, unpadded, at most `max_length` of them."""
        if not texts:
            return []
        limit = self.max_length * MAX_CHARACTERS_PER_TOKEN
        cut = [f"{self.prompt}{text[:limit]}" for text in texts]
        if self.lowercase:
            cut = [text.lower() for text in cut]
        encoded = self.tokenizer(cut, truncation=True, max_length=self.max_length, return_attention_mask=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def pad(self, token_lists: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Token lists as one tensor (n, t) int64, t the longest or `max_length`, and the mask if one is needed."""
        lengths = np.fromiter(map(len, token_lists), dtype=np.int64, count=len(token_lists))
        width = self.max_length if self.pad_to_max else int(lengths.max())
        padded = np.full((len(token_lists), width), self.pad_id, dtype=np.int64)
        filled: npt.NDArray[np.bool_] = np.arange(width) < lengths[:, None]
        filled = filled[:, ::-1] if self.pad_left else filled
        padded[filled] = np.concatenate([np.asarray(tokens, dtype=np.int64) for tokens in token_lists])
        mask = torch.from_numpy(filled.astype(np.int64)) if self.masked else None
        return torch.from_numpy(padded), mask


def load_tokenizer(folder: Path) -> tuple[Any, int]:
    """The tokenizer of a checkpoint folder, and the id of the token that it pads with.

    Raises:
        ModelError: there is none, or it cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with silent_stderr():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            tokenizer(_SAMPLES, truncation=True, max_length=min(int(tokenizer.model_max_length), 64))
    except BaseException as error:  # anything on settings that do not fit: a panic in Rust is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ModelError(f"{folder}: its tokenizer cannot be loaded: {first_line_of(error)}") from None
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad_id is None:
        raise ModelError(f"{folder}: its tokenizer has neither a padding nor an end token")
    return tokenizer, int(pad_id)


def num_positions(config: dict[str, Any]) -> int:
    """How many tokens a text tower with this config.json has position embeddings for."""
    text = config["text_config"]
    num = int(text.get("max_position_embeddings") or (64 if _is_siglip(config) else 77))
    # AltCLIP's text tower is a RoBERTa: its positions are counted from the padding token's id on.
    return num - int(text.get("pad_token_id", 1)) - 1 if config.get("model_type") == "altclip" else num


def token_batches(lengths: Sequence[int], *, max_tokens: int, padded: bool) -> list[list[int]]:
    """Group texts of similar length: indices into `lengths`, shortest first, at most `max_tokens` per padded batch.

    A text longer than `max_tokens` is a batch of its own.

    Args:
        padded: whether a batch may hold texts of several lengths.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    for index in np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        is_full = lengths[index] * (len(batch) + 1) > max_tokens
        if batch and (is_full or not (padded or lengths[index] == lengths[batch[0]])):
            batches.append(batch)
            batch = []
        batch.append(index)
    if batch:
        batches.append(batch)
    return batches


def first_line_of(error: BaseException) -> str:
    """The first line of another library's error message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _is_siglip(config: dict[str, Any]) -> bool:
    return str(config.get("model_type", "")).startswith("siglip")
