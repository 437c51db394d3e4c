"""Fine-tuning from examples to an adapter: planned, run with checkpoints, resumed after a kill, shrunk when memory ends."""

import gc
import json
import shutil
import time
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.records import Example
from medinstruct.training import fit, loading, trainer, watch
from medinstruct.training.card import write_card
from medinstruct.training.planning import Plan, plan, smaller

NOT_IN_NAME = ("live", "auto_batch", "report_to", "checkpoints", "micro_batch_size", "accumulation", "is_gpu")


def finetune_lora(
    examples: list[Example],
    *,
    base: str | Path,
    folder: str | Path,
    epochs: float = 3,
    learning_rate: float = 2e-4,
    batch_size: int = 16,
    micro_batch_size: int = 8,
    max_length: int = 1024,
    lora_rank: int = 16,
    lora_alpha: int = 32,
    lora_dropout: float = 0.0,
    warmup_ratio: float = 0.03,
    eval_share: float = 0.1,
    precision: str = "auto",
    quantization: str = "none",
    seed: int = 42,
    **more: Any,
) -> dict[str, Any]:
    """Tune an adapter on some examples and save it in `folder`; returns losses (nats a response token), sizes and counts.

    `more` may hold any key of `DEFAULTS`. A run that was killed goes on from its last checkpoint when the same call is made
    again with the same data; another call starts anew.
    """
    given = {
        "epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size, "micro_batch_size": micro_batch_size,
        "max_length": max_length, "lora_rank": lora_rank, "lora_alpha": lora_alpha, "lora_dropout": lora_dropout,
        "warmup_ratio": warmup_ratio, "eval_share": eval_share, "precision": precision, "quantization": quantization, "seed": seed,
    } | more  # fmt: skip
    planned = plan(examples, base=base, timed=False, **given)
    draft = Path(folder).with_name(f".{Path(folder).name}")
    name = _name(examples, base, planned)
    while True:
        try:
            return _run(planned, examples, base=base, folder=Path(folder), draft=draft, name=name)
        except _out_of_memory() as error:
            planned = smaller(planned, base, error)
        gc.collect()
        _empty_cache()


def _run(planned: Plan, examples: list[Example], *, base: str | Path, folder: Path, draft: Path, name: str) -> dict[str, Any]:
    """One attempt: from the last whole checkpoint of the same run, or from the start."""
    from accelerate import PartialState

    settings, state = planned.settings, PartialState(cpu=not planned.settings["is_gpu"])
    checkpoint = _prepare(draft, name, state)
    arguments = trainer.arguments(draft, steps=planned.steps, settings=settings)
    tokenizer = loading.load_tokenizer(base)
    names = ("precision", "quantization", "method")
    model = loading.load_model(
        base, flash=planned.hardware.flash and settings["precision"] != "float32", **{key: settings[key] for key in names}
    )
    if settings["batching"] in ("packed", "padding_free"):
        fit.keeps_apart(model)
    sft, seen = _watched(planned, model, tokenizer, arguments)
    before = _once(draft / "before.json", seen.evaluate, state)
    start = time.perf_counter()
    sft.train(resume_from_checkpoint=checkpoint)
    is_seen = seen.held_out and seen.held_out[-1]["step"] == sft.state.global_step
    after = seen.held_out[-1]["held_out"] if is_seen else seen.evaluate()
    sft.save_model(str(draft))
    result = _result(planned, sft, seen, before, after) | {"wall_seconds": round(time.perf_counter() - start, 1)}
    if state.is_main_process:
        tokenizer.save_pretrained(draft)
        write_card(draft, result, examples=examples, base=base, settings=settings)
        _settle(draft, folder)
    state.wait_for_everyone()
    return result


def _watched(planned: Plan, model: Any, tokenizer: Any, arguments: Any) -> tuple[Any, Any]:
    """The trainer, and the callback that sees its losses."""
    settings = planned.settings
    tokens = sum(len(row.ids) for row in planned.trained) * settings["epochs"]
    held: list[Any] = []

    def evaluate() -> dict[str, float]:
        sft = held[0]
        if sft.is_fsdp_enabled or sft.is_deepspeed_enabled:
            return {}  # the weights are spread over the devices
        size = settings["micro_batch_size"]
        return watch.held_out_losses(sft.model, planned.held_out, pad=tokenizer.pad_token_id, batch_size=size)

    seen = watch.watcher(tokens=tokens, evaluate=evaluate, live=settings["live"])
    sft = trainer.build(model, tokenizer, planned.trained, arguments, settings, [seen])
    sft.by_length = settings["batching"] == "sorted"
    held.append(sft)
    seen.evaluate = evaluate
    return sft, seen


def _result(planned: Plan, sft: Any, seen: Any, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    return {
        "train_losses": seen.losses, "held_out_losses": [row for row in seen.held_out],
        "eval_before": before.get("all"), "eval_after": after.get("all"), "by_type": {"before": before, "after": after},
        "trainable": sft.model.num_parameters(only_trainable=True), "parameters": sft.model.num_parameters(),
        "examples": len(planned.trained), "held_out": len(planned.held_out), "held_out_ids": [row.id for row in planned.held_out],
        "cut": len(planned.survey.over), "steps": sft.state.global_step, "seconds": round(seen.seconds, 1),
        "tokens_a_second": round(seen.rate), "peak_gb": round(watch.peak_memory(), 2),
        "micro_batch_size": planned.settings["micro_batch_size"], "hardware": str(planned.hardware.name),
    }  # fmt: skip


def _name(examples: list[Example], base: str | Path, planned: Plan) -> str:
    """The hash of all that the result depends on: the data as it is read, the base model, the settings."""
    built = Path(base) / "built.json"
    of_base = records.content_hash(built.read_text()) if built.is_file() else str(base)
    kept = {key: value for key, value in planned.settings.items() if key not in NOT_IN_NAME}
    return records.content_hash([[e.id, e.instruction, e.input, e.output] for e in examples], of_base, kept)


def _prepare(draft: Path, name: str, state: Any) -> str | None:
    """The last whole checkpoint of the run of this name; what another run left is taken away."""
    mark = draft / "run.json"
    if state.is_main_process and not (mark.exists() and json.loads(mark.read_text())["name"] == name):
        shutil.rmtree(draft, ignore_errors=True)
        records.write_json(mark, {"name": name})
    state.wait_for_everyone()
    whole = [path.parent for path in draft.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def _once(path: Path, measure: Any, state: Any) -> dict[str, float]:
    """What was measured before training began, kept for a run that is resumed."""
    if path.exists():
        return json.loads(path.read_text())
    found = measure()
    if state.is_main_process:
        records.write_json(path, found)
    return found


def _settle(draft: Path, folder: Path) -> None:
    """The finished adapter takes its place; checkpoints and marks go."""
    for path in [*draft.glob("checkpoint-*"), draft / "run.json", draft / "before.json", draft / "training_args.bin"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _out_of_memory() -> type[BaseException]:
    import torch

    return torch.OutOfMemoryError


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
