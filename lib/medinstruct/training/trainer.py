"""LoRA fine-tuning on TRL: resume a killed run, held-out loss by task type, model card."""

import copy
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import pandas as pd

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.llm import local, public_name
from medinstruct.records import Example
from medinstruct.training import config
from medinstruct.training.examples import Row, add_replay, dataset_hash, replay, split, survey

# What the result depends on, beside the data: all settings but some, and recipes.
NOT_HASHED = ("report_to", "gradient_checkpointing", "replay")  # its examples are hashed
RECIPES = ("trainer", "adapter", "quantization", "prompts")


def finetune_lora(
    examples: list[Example],
    *,
    base: str | Path,
    folder: str | Path,
    adapter: Any = None,
    build: Callable | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Tune an adapter (with lora_rank 0, all parameters), save it, return losses and counts.

    `settings` are those of data/training.yaml, `adapter` is a LoraConfig in place of theirs, and
    `build(args, train_dataset, eval_dataset, peft_config)` returns the SFTTrainer. Losses are nats
    per response token. A killed run resumes, a finished one returns its result. On one device a
    micro-batch that does not fit into memory is reduced by a tenth until it does.
    """
    from trl import SFTConfig, SFTTrainer

    values = config.complete(settings)
    usual = config.lora_config(values)  # None for all parameters
    adapter = usual and (copy.deepcopy(adapter) or usual)
    tokenizer = local.load_tokenizer(base)
    build = build or partial(SFTTrainer, model=str(base), processing_class=tokenizer)
    share, tests = values["replay_share"], Path(folder).parent / "test_questions.jsonl"
    general = replay(values["replay"], tests=tests) if share else []

    def train(draft: Path) -> tuple[Any, dict[str, Any]]:
        names = ("max_length", "template", "over_length")
        checks = {"tokenizer": tokenizer} | {name: values[name] for name in names}
        data, extra = survey(examples, **checks), survey(general, **checks)
        shares = {"share": values["eval_share"], "train_share": values["train_share"]}
        medical, held = split(data.rows, seed=values["seed"], **shares)
        trained = add_replay(medical, extra.rows, share=share, seed=values["seed"])
        fitted = adapter and config.fit_adapter(adapter, config.outline(base))
        form = {"auto_find_batch_size": config.processes() == 1}
        form["model_init_kwargs"] = config.weight_arguments(values)
        args = config.trainer_arguments(SFTConfig, draft, values, **form)
        trainer = _prepared(build, base, trained, held, args=args, peft_config=fitted)
        result = _result(trainer, trained, held, fit(trainer, draft, name))
        return trainer, result | {"cut": len(data.over), "replay": len(trained) - len(medical)}

    name = _run_name([*examples, *general], base, values, adapter)
    tags = ["medical", "instruction-tuning", "lora" if adapter else "full"]
    about = {"template": "model_card.md.j2", "tags": tags} | _facts(examples, values)
    card = partial(write_card, base=base, **about)
    return in_draft(Path(folder), name, train, card=card)


def in_draft(folder: Path, name: str, train: Callable, *, card: Callable) -> dict[str, Any]:
    """Train by `train(draft)` in a draft folder that replaces `folder` once it is complete.

    `train` returns trainer and result; `name` is the hash of all that the result depends on: a
    finished run is not repeated. `card(folder, result=…)` writes the model card.
    """
    earlier, draft = paths.read_json(folder / "made.json"), folder.with_name(f".{folder.name}")
    if earlier.get("name") == name:
        return earlier["result"]
    if folder.exists() and not earlier and any(folder.iterdir()):
        do = "Choose an empty folder, or move these files away: training would replace them."
        raise UserError("The folder for the adapter holds other files.", got=folder, do=do)
    trainer = None
    try:
        trainer, result = train(draft)
        if hasattr(trainer.model, "peft_config"):
            trainer.processing_class = None  # the tokenizer is the base model's
        trainer.save_model(str(draft))
        if trainer.is_world_process_zero():
            _make_portable(trainer.model, draft)
            card(draft, result=result)
            records.write_json(draft / "made.json", {"name": name, "result": result})
            for path in [*draft.glob("checkpoint-*"), draft / "run.json", *draft.glob("*.bin")]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        trainer.accelerator.wait_for_everyone()
        return result
    finally:
        del trainer
        local.free_memory()


def _run_name(examples: list[Example], base: str | Path, values: dict, adapter: Any) -> str:
    """Return the hash of all that the result depends on: data, base model, settings, recipes."""
    texts = [[e.id, e.type, e.instruction, e.input, e.output] for e in examples]
    skipped = {*NOT_HASHED, *["replay_share"] * (not values["replay_share"])}
    learning = {key: value for key, value in values.items() if key not in skipped}
    if adapter:
        usual = config.lora_config(values).to_dict()
        learning |= {k: str(v) for k, v in adapter.to_dict().items() if v != usual[k]}
    recipes = {part: config.recipe(part) for part in RECIPES}
    return records.content_hash(texts, *identity(base), learning, recipes)


def identity(base: str | Path) -> tuple[str, list]:
    """Return a base model's public name and, for a folder, its weight files with their times."""
    name, weights = public_name(base), sorted(Path(base).glob("*.safetensors"))
    return name, [(path.name, path.stat().st_mtime_ns) for path in weights if name == str(base)]


def _prepared(build: Callable, base: str | Path, trained: list, held: list, **form: Any) -> Any:
    """Return the trainer that `build` returns, with its datasets, callbacks and loss."""
    from datasets import Dataset, disable_progress_bars

    def dataset(rows: list[Row]) -> Any:
        labels = [[-100] * row.start + row.ids[row.start :] for row in rows]
        return Dataset.from_dict({"input_ids": [row.ids for row in rows], "labels": labels})

    disable_progress_bars()
    types = sorted({row.type for row in held})
    form["train_dataset"] = dataset(trained)
    form["eval_dataset"] = {name: dataset([r for r in held if r.type == name]) for name in types}
    trainer = local.load_pretrained(lambda _: build(**form), base)
    limit = getattr(trainer.model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(len(row.ids) for row in [*trained, *held])
    if limit and longest > limit:
        do = f"Set max_length: {limit} or less, or choose another base model."
        got = f"{longest} tokens, limit {limit}"
        raise UserError("Examples are longer than the base model can read.", got=got, do=do)
    score_responses(trainer)
    return trainer


def score_responses(trainer: Any) -> None:
    """Give TRL's SFTTrainer this loss on a CPU; elsewhere it keeps its own.

    Without Triton, TRL 1.16 computes the logits of prompts and padding too.
    """

    def compute_loss(self, model: Any, inputs: Any, return_outputs=False, num_items_in_batch=None):
        if return_outputs or self.aux_loss_enabled:
            return type(self).compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        losses = response_losses(model, inputs)
        count = len(losses) if num_items_in_batch is None else num_items_in_batch
        processes = 1 if num_items_in_batch is None else self.accelerator.num_processes
        return losses.sum() / max(count, 1) * processes  # the processes' gradients are averaged

    if trainer.args.use_cpu:
        trainer.compute_loss = MethodType(compute_loss, trainer)


def response_losses(model: Any, inputs: dict[str, Any]) -> Any:
    """Return the loss of each trained token, in nats."""
    from torch.nn.functional import cross_entropy, pad

    targets = pad(inputs["labels"][:, 1:], (0, 1), value=-100)
    is_trained = targets != -100
    head = getattr(model, "module", model).get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][is_trained],))
    try:  # padding on the right needs no attention mask, and is faster without one
        logits = model(input_ids=inputs["input_ids"], use_cache=False).logits
    finally:
        hook.remove()
    return cross_entropy(logits.float(), targets[is_trained], reduction="none")


def fit(trainer: Any, draft: Path, name: str) -> dict[str, float]:
    """Train from the last complete checkpoint, or from the start; return the speed."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_epochs())
    for parameter in trainer.model.parameters():
        if parameter.requires_grad and trainer.args.fp16:  # loss scaling needs float32
            parameter.data = parameter.data.float()
    mark = draft / "run.json"
    if trainer.is_world_process_zero():
        if paths.read_json(mark) != name:
            shutil.rmtree(draft, ignore_errors=True)
        records.write_json(mark, name)
    trainer.accelerator.wait_for_everyone()
    complete = [path.parent for path in draft.glob("checkpoint-*/trainer_state.json")]
    last = max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    trainer.args.eval_on_start = last is None
    try:
        output = trainer.train(resume_from_checkpoint=str(last) if last else None)
    except RuntimeError as error:
        if "No executable batch size" not in str(error):
            raise
        do = "Set load_in_4bit or gradient_checkpointing, lower max_length, or use a smaller model."
        raise UserError("One example does not fit into memory.", got=error, do=do) from error
    return output.metrics


def _make_portable(model: Any, draft: Path) -> None:
    """Save an adapter in 16 bits, with sorted modules and the public name of its base model."""
    from safetensors.torch import load_file, save_file

    for adapter in getattr(model, "peft_config", {}).values():
        adapter.base_model_name_or_path = public_name(adapter.base_model_name_or_path)
        for name in ("target_modules", "target_parameters"):
            setattr(adapter, name, sorted(getattr(adapter, name) or []) or None)
        adapter.inference_mode = True
        adapter.save_pretrained(str(draft))
        file = draft / "adapter_model.safetensors"
        small = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
        save_file(small, file, metadata={"format": "pt"})
        file.chmod((draft / "adapter_config.json").stat().st_mode)  # not only for its owner


def _result(trainer: Any, trained: list[Row], held: list[Row], metrics: Any) -> dict[str, Any]:
    """Return losses, counts and speed of a finished training; `train_losses` in nats per token."""
    logs = [log for log in trainer.state.log_history if "loss" in log]
    first, *later = held_out_losses(trainer.state, held)
    before, after = first["held_out"], later[-1]["held_out"]
    steps, model = trainer.state.global_step, trainer.model
    tokens = sum(len(row.ids) for row in trained) * trainer.args.num_train_epochs
    return {
        "train_losses": [{"step": x["step"], "loss": round(x["loss"], 4)} for x in logs],
        "held_out_losses": later,
        "eval_before": before["all"],
        "eval_after": after["all"],
        "by_type": {"before": before, "after": after},
        "trainable": model.num_parameters(only_trainable=True),
        "parameters": model.num_parameters(),
        "examples": len(trained),
        "held_out": len(held),
        "held_out_ids": [row.example.id for row in held],
        "steps": steps,
        "micro_batch_size": trainer.state.train_batch_size,
        "seconds": round(metrics["train_runtime"], 1),
        "tokens_a_second": round(tokens / steps * metrics["train_steps_per_second"]),
        "memory_gb": round(config.memory_in_use(), 2),
        "hardware": config.device(),
        "machine": config.machine(),
    }


def held_out_losses(state: Any, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return held-out losses by step and type: nats per response token, averaged over responses."""
    counts = pd.Series([row.type for row in rows]).value_counts().sort_index()
    columns = {f"eval_{name}_loss": name for name in counts.index}
    logs = [log for log in state.log_history if columns.keys() & log]
    losses = pd.DataFrame(logs).groupby("step").last()[[*columns]].rename(columns=columns)
    losses.insert(0, "all", losses.mul(counts).sum(axis=1, skipna=False) / len(rows))
    means = losses.round(4).to_dict("index")
    return [{"step": step, "held_out": by_type} for step, by_type in means.items()]


def _epochs() -> type:
    """Return a Trainer callback: a bar of the steps, evaluation after each epoch, and seeds.

    An epoch's order depends on the seed and its number alone, so a resumed run equals a whole one.
    """
    from transformers import ProgressCallback, set_seed

    class Epochs(ProgressCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            set_seed(args.seed + int(state.epoch or 0))

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            super().on_step_end(args, state, control, **more)
            control.should_evaluate = round(state.epoch, 6).is_integer()

        on_evaluate = on_epoch_begin
        on_log = on_prediction_step = lambda *given, **more: None  # no lines of losses

    return Epochs


def _facts(examples: Sequence[Example], values: dict[str, Any]) -> dict[str, Any]:
    """Return the card's facts on data and settings, without a path of this machine."""
    replayed, writers = values["replay"], {e.provenance.model for e in examples} - {""}
    values = values | {"replay": Path(replayed).name if paths.find(replayed) else replayed}
    settings = {key: values[key] for key in sorted(values) if key != "report_to"}
    facts = {"settings": settings, "writers": sorted(writers), "total": len(examples)}
    return facts | {"hash": dataset_hash(examples), "is_lora": bool(values["lora_rank"])}


def write_card(
    folder: Path, *, base: str | Path, template: str, tags: list[str], **facts: Any
) -> None:
    """Write the model card, README.md, beside the weights; local paths are shortened to names."""
    from huggingface_hub import ModelCard, ModelCardData

    name = public_name(base)
    name = Path(name).name if Path(name).exists() else name
    form = {"library_name": "transformers" if "full" in tags else "peft", "tags": tags}
    data = ModelCardData(base_model=name, pipeline_tag="text-generation", **form)
    facts |= {"base": name, "template_path": str(paths.data(template))}
    records.write_text(folder / "README.md", f"{ModelCard.from_template(data, **facts)}\n")
