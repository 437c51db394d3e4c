"""Write the folder of a Llama model as a GGUF file in float32, as llama.cpp's converter does."""

import json
from pathlib import Path


def write(folder, file):
    """Write `file`: weights, sizes, tokenizer of byte pairs and chat template of `folder`."""
    import gguf
    from safetensors.torch import load_file

    folder = Path(folder)
    config, known = (read(folder / name) for name in ("config.json", "tokenizer.json"))
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(file, "llama")
    sizes = {
        "context_length": "max_position_embeddings",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "block_count": "num_hidden_layers",
        "head_count": "num_attention_heads",
        "head_count_kv": "num_key_value_heads",
        "layer_norm_rms_eps": "rms_norm_eps",
        "rope_dimension_count": "head_dim",
        "vocab_size": "vocab_size",
    }
    for name, key in sizes.items():
        getattr(writer, f"add_{name}")(config[key])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    vocabulary = sorted(known["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["id"] for token in known["added_tokens"] if token["special"]}
    kinds = [
        gguf.TokenType.CONTROL if n in special else gguf.TokenType.NORMAL for _, n in vocabulary
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([text for text, _ in vocabulary])
    writer.add_token_types(kinds)
    pairs = known["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in pairs])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, weight in load_file(folder / "model.safetensors").items():
        tensor = weight.float()
        for part, count in heads.items():
            if part in name:  # llama.cpp rotates neighbors, transformers halves
                shape = (count, 2, tensor.shape[0] // count // 2, *tensor.shape[1:])
                tensor = tensor.reshape(shape).swapaxes(1, 2).reshape(tensor.shape)
        writer.add_tensor(names.get_name(name, (".weight",)), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))
