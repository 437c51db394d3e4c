"""The model card that goes with an adapter: what it was trained on, how, with what result, and what it is not for."""

import html
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.records import Example

TEXT = """---
base_model: {base}
library_name: {library}
pipeline_tag: text-generation
tags: [medical, instruction-tuning, {method}]
---

# {title}

{what} of `{base}` on {examples} medical instructions with the loss on the response alone.

| | |
| --- | --- |
| dataset | {all} examples, content hash `{hash}`; written by {writers} |
| left out | {cut} longer than {max_length} tokens |
| held out | {held_out} |
| held-out loss, nats a response token | {losses} |
| trained parameters | {trainable} of {parameters} |
| prompt | {template} template |
| {steps} steps on | {hardware} |

| setting | value |
| --- | --- |
{settings}

## Limits

Research only: not a medical device, and nothing that it says is medical advice. Neither its training data nor its answers were
reviewed by clinicians unless the dataset's own card says so. It can be wrong, out of date, and sure of itself at once; it has the
faults of its base model and of the models that wrote its data. A lower held-out loss says that it writes more like that data,
not that it is right. The licences of the base model and of the data apply.

## Use

```python
{use}
```
"""
ADAPTER = """from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("this folder")
tokenizer = AutoTokenizer.from_pretrained("this folder")"""
WHOLE = """from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("this folder")
tokenizer = AutoTokenizer.from_pretrained("this folder")"""


def write_card(
    folder: Path,
    result: dict[str, Any],
    *,
    examples: list[Example],
    base: str | Path,
    settings: dict[str, Any],
) -> Path:
    """Write README.md beside the weights; a folder of this machine is named by its last part only."""
    is_lora = settings["method"] == "lora"
    shown = {
        key: value
        for key, value in sorted(settings.items())
        if key not in ("live", "report_to", "is_gpu")
    }
    measured = result["eval_after"] is not None
    losses = (
        f"{result['eval_before']} before, {result['eval_after']} after"
        if measured
        else "not measured"
    )
    name = Path(base).name if Path(base).exists() else str(base)
    return records.write_text(
        folder / "README.md",
        TEXT.format(
            base=name,
            library="peft" if is_lora else "transformers",
            method=settings["method"],
            title="Adapter" if is_lora else "Model",
            what="A LoRA adapter" if is_lora else "Full fine-tuning",
            examples=f"{result['examples']:,}",
            all=f"{len(examples):,}",
            hash=dataset_hash(examples),
            writers=_writers(examples),
            cut=result["cut"],
            max_length=settings["max_length"],
            held_out=result["held_out"],
            losses=losses,
            trainable=f"{result['trainable']:,}",
            parameters=f"{result['parameters']:,}",
            template=settings["template"],
            steps=result["steps"],
            hardware=result["hardware"],
            settings="\n".join(f"| {key} | {value} |" for key, value in shown.items()),
            use=ADAPTER if is_lora else WHOLE,
        ),
    )


def dataset_hash(examples: list[Example]) -> str:
    """Sixteen hex digits over instruction, input and output of all examples, whatever their order."""
    return records.content_hash(sorted([e.instruction, e.input, e.output] for e in examples))


def _writers(examples: list[Example]) -> str:
    found = sorted({e.provenance.model for e in examples if e.provenance.model})
    return html.escape(", ".join(found), quote=False) or "an unnamed source"
