"""Tiny random models in the shapes of released families, as the installed transformers has them."""

from pathlib import Path

FOLDERS = {}
NAMES = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
TEXT = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "rms_norm_eps": 1e-5,
}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2}
EXPERTS |= {"moe_intermediate_size": 24, "shared_expert_intermediate_size": 24}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
LINEAR = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
LINEAR |= {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
LINEAR |= {"layer_types": ["linear_attention", "full_attention"]}
QWEN_VISION = {
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": 14,
    "out_hidden_size": 32,
    "num_position_embeddings": 16,
}
SLIDING = {"layer_types": ["sliding_attention", "full_attention"]}
# family: (class of the configuration, its arguments, the class that released weights name)
FAMILIES = {
    "llama": ("LlamaConfig", TEXT, "LlamaForCausalLM"),
    "qwen3": ("Qwen3Config", TEXT, "Qwen3ForCausalLM"),
    "gemma3": (
        "Gemma3Config",
        {
            "text_config": TEXT | SLIDING,
            "vision_config": VISION,
            "mm_tokens_per_image": 4,
            "image_token_index": 3,
        },
        "Gemma3ForConditionalGeneration",
    ),
    "qwen3_5": (
        "Qwen3_5Config",
        {"text_config": TEXT | LINEAR, "vision_config": QWEN_VISION},
        "Qwen3_5ForConditionalGeneration",
    ),
    "qwen3_moe": ("Qwen3MoeConfig", TEXT | EXPERTS, "Qwen3MoeForCausalLM"),
    "mixtral": ("MixtralConfig", TEXT | EXPERTS, "MixtralForCausalLM"),
    "gpt_oss": ("GptOssConfig", TEXT | EXPERTS | SLIDING, "GptOssForCausalLM"),
    "qwen3_5_moe": (
        "Qwen3_5MoeConfig",
        {"text_config": TEXT | LINEAR | EXPERTS, "vision_config": QWEN_VISION},
        "Qwen3_5MoeForConditionalGeneration",
    ),
}


def tokenizer():
    """Return a tokenizer of bytes, with one token for each and the three special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {name: n for n, name in enumerate([*NAMES.values(), *letters])}
    built = Tokenizer(models.BPE(vocab=words, merges=[]))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    begin = [("<s>", words["<s>"])]
    built.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=begin)
    return PreTrainedTokenizerFast(tokenizer_object=built, model_max_length=512, **NAMES)


def save(family: str, folder: Path) -> Path:
    """Save a tiny random model of a family with its tokenizer, as a released one is saved."""
    import transformers

    name, fields, architecture = FAMILIES[family]
    transformers.set_seed(1)
    config = getattr(transformers, name)(**fields)
    model = getattr(transformers, architecture)(config)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
