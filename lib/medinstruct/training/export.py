"""Adapter export: merge into the base model, model card."""

from collections.abc import Sequence
from pathlib import Path

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training.base_model import load, load_tokenizer
from medinstruct.training.examples import dataset_hash


def merge(base: str | Path, *, adapter: str | Path, folder: str | Path) -> None:
    """Fold an adapter into its base model in float32, and save the whole model in `folder`."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    weights = {"dtype": torch.float32, "use_safetensors": True}
    model = load(AutoModelForCausalLM.from_pretrained, base, **weights)
    try:
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError) as error:
        do = "Give the folder of a LoRA adapter that was trained on this base model."
        got = str(error).split("\n")[0]
        raise UserError("The adapter could not be loaded.", got=got, do=do) from None
    merged.save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)


def write_card(
    folder: Path, base: str | Path, result: dict, *, examples: Sequence[Example], settings: dict
) -> Path:
    """Write the model card, README.md, beside the weights; local paths are shortened to names."""
    from huggingface_hub import ModelCard, ModelCardData

    is_lora = settings["method"] == "lora"
    base = Path(base).name if Path(base).exists() else str(base)
    data = ModelCardData(
        base_model=base,
        library_name="peft" if is_lora else "transformers",
        pipeline_tag="text-generation",
        tags=["medical", "instruction-tuning", settings["method"]],
    )
    facts = {"base": base, "is_lora": is_lora, "result": result, "total": len(examples)}
    facts["settings"] = {key: settings[key] for key in sorted(settings) if key != "report_to"}
    facts["writers"] = sorted({e.provenance.model for e in examples if e.provenance.model})
    facts["hash"] = dataset_hash(examples)
    template = str(paths.data("model_card.md.j2"))
    card = ModelCard.from_template(data, template_path=template, **facts)
    return records.write_text(folder / "README.md", f"{card}\n")
