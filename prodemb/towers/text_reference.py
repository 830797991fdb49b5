"""Our vectors of a loaded text encoder beside a plain computation of the steps that sentence-transformers documents."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from prodemb.core.errors import ModelError
from prodemb.towers.load import quiet
from prodemb.towers.reference import (
    Comparison,
    NoReference,
    built_in_texts,
    cosines,
    hold_to_reference,
)
from prodemb.towers.text import first_line_of
from prodemb.towers.text_checkpoint import Layer, Pooling
from prodemb.towers.text_encoder import TextEncoder, num_text_positions

MOST_TOKENS = 512
"""The long text has hardly more, though it is not cut then: on a CPU a text of 32,768 tokens takes minutes."""


def check_text_encoder(encoder: TextEncoder) -> None:
    """Hold a text encoder to the reference; where there is none, warn.

    Raises:
        ModelError: a cosine is below `MIN_COSINE`, or it does not run.
    """
    hold_to_reference(encoder.checkpoint.name, lambda: compare_text_encoder(encoder))


@torch.inference_mode()
def compare_text_encoder(encoder: TextEncoder) -> Comparison:
    """Encode three texts as `embed` does, and as transformers' and sentence-transformers' documentation does.

    Both sides use the loaded weights in their number format. Tokens, padding, mask, pooling and what stands behind it
    are the reference's own. It too pads behind the texts, whatever the tokenizer says: before them, the vector of an
    encoder with absolute positions would depend on the batch.

    Raises:
        NoReference: transformers cannot prepare its inputs, or the reference does not run.
        ModelError: the encoder does not run on them.
    """
    texts = built_in_texts(min(encoder.text.max_length, MOST_TOKENS))
    try:
        wanted = _reference(encoder, list(texts.values()))
    except Exception as error:  # transformers raises anything on settings that do not fit
        raise NoReference(first_line_of(error)) from error
    try:
        token_ids, mask = encoder.text.pad(encoder.text.tokenize(list(texts.values())))
        ours = encoder.text_vectors(token_ids.to(encoder.device), None if mask is None else mask.to(encoder.device))
    except (RuntimeError, IndexError) as error:
        name = encoder.checkpoint.name
        raise ModelError(f"{name}: it does not run on built-in texts: {first_line_of(error)}") from error
    return Comparison(texts=dict(zip(texts, cosines(ours, wanted), strict=True)))


def _reference(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Vectors of n texts, (n, dim).

    Source: sbert.net, the model cards' "Usage (HuggingFace Transformers)", and the pages of each module.
    """
    from transformers import AutoTokenizer

    checkpoint = encoder.checkpoint
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.encoder, trust_remote_code=False, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    limits = (checkpoint.max_length or tokenizer.model_max_length, num_text_positions(encoder.model))
    prompted = [f"{checkpoint.prompt}{text}" for text in (*texts, "")]
    *sentences, prompt = [text.lower() for text in prompted] if checkpoint.lowercase else prompted
    inputs = tokenizer(
        sentences,
        padding=True,
        padding_side="right",
        truncation=True,
        max_length=min(int(limit) for limit in limits if limit),
        return_tensors="pt",
    ).to(encoder.device)
    tokens = encoder.model(**inputs).last_hidden_state.float()
    skipped = 0
    if not checkpoint.pools_prompt:
        own = tokenizer(prompt)["input_ids"]
        skipped = len(own) - (own[-1] in tokenizer.all_special_ids)
    read = [each[there.bool()][skipped:] for each, there in zip(tokens, inputs["attention_mask"], strict=True)]
    vectors = torch.stack([torch.cat([_pooled(each, mode, skipped) for mode in checkpoint.pooling]) for each in read])
    for layer in checkpoint.layers:
        vectors = _behind(vectors, layer)
    return vectors


def _pooled(tokens: Tensor, mode: Pooling, skipped: int) -> Tensor:
    """The vectors of one text's tokens (t, d) made one, (d,).

    Args:
        skipped: tokens that stood before these.
    """
    match mode:
        case "cls":
            return tokens[0]
        case "lasttoken":
            return tokens[-1]
        case "max":
            return tokens.max(dim=0).values
        case "mean":
            return tokens.mean(dim=0)
        case "mean_sqrt_len_tokens":
            return tokens.sum(dim=0) / math.sqrt(len(tokens))
        case "weightedmean":
            positions = torch.arange(skipped + 1, skipped + 1 + len(tokens), device=tokens.device)
            return (tokens * positions[:, None]).sum(dim=0) / positions.sum()


def _behind(vectors: Tensor, layer: Layer) -> Tensor:
    """What a layer behind the pooling makes of n vectors."""
    from safetensors.torch import load_file

    if layer.kind == "Normalize":
        return functional.normalize(vectors, dim=1)
    if layer.kind == "Dropout":
        return vectors
    path = layer.folder / "model.safetensors"
    weights = {name: each.float().to(vectors.device) for name, each in load_file(path).items()}
    if layer.kind == "LayerNorm":
        return functional.layer_norm(vectors, vectors.shape[1:], weights["norm.weight"], weights["norm.bias"])
    name = str(layer.config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    out: Tensor = getattr(nn, name)()(functional.linear(vectors, weights["linear.weight"], weights.get("linear.bias")))
    if not layer.config.get("use_residual"):
        return out
    residual = weights.get("residual.weight")
    return out + (vectors if residual is None else functional.linear(vectors, residual))
