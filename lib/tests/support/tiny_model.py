"""A tiny Llama with a tokenizer of its own, in a folder like any model."""

from pathlib import Path

NAMES = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
PROSE = [
    f"Condition {n} causes cough and fever. It is treated with rest and fluids." for n in range(40)
]
SHAPE = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build(folder, texts=PROSE, *, chat=False, seed=42, steps=60, **shape) -> Path:
    """Save model and tokenizer in `folder`; `shape` is of LlamaConfig, `chat` adds a template.

    The steps on the texts take a second and leave it writing words; with 0 the weights are random.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    shape = SHAPE | {"max_position_embeddings": 600} | shape
    tokenizer = _tokenizer(texts, size=shape["vocab_size"])
    tokenizer.chat_template = CHAT if chat else None
    set_seed(seed)
    shape |= {"vocab_size": len(tokenizer), "intermediate_size": 3 * shape["hidden_size"]}
    ids = {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in NAMES}
    model = LlamaForCausalLM(LlamaConfig(**shape, **ids, tie_word_embeddings=True))
    batch = tokenizer([f"{text}</s>" for text in texts], padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def _tokenizer(texts, *, size):
    """A byte-level BPE tokenizer; <s> begins a sequence, and pad and end tokens differ."""
    from tokenizers import ByteLevelBPETokenizer, Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    form = {"min_frequency": 0, "show_progress": False, "special_tokens": [*NAMES.values()]}
    bpe.train_from_iterator(texts, size, **form)
    bpe = Tokenizer.from_str(bpe.to_str())
    begin = [("<s>", bpe.token_to_id("<s>"))]
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=begin)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=10**6, **NAMES)
