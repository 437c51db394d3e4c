"""Fine-tuning from examples to an adapter: planned, run with checkpoints, resumed after a kill, shrunk when memory ends."""

import gc
import json
import time
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.records import Example
from medinstruct.training import batches, loading, resuming, trainer, watch
from medinstruct.training.card import write_card
from medinstruct.training.planning import Plan, plan, smaller


def finetune_lora(
    examples: list[Example], *, base: str | Path, folder: str | Path, **settings: Any
) -> dict[str, Any]:
    """Tune an adapter on some examples and save it in `folder`; returns losses (nats a response token), sizes and counts.

    `settings` are those of `planning.DEFAULTS`, where their defaults stand; an unknown one is refused. The same call on the same
    data goes on from the last checkpoint of a run that was killed, and gives back what a finished one has made, also one that
    `accelerate launch` ran; another call starts anew.
    """
    planned = plan(examples, base=base, timed=False, **settings)
    draft = Path(folder).with_name(f".{Path(folder).name}")
    name = resuming.name(examples, base, planned)
    made = Path(folder) / "made.json"
    if made.exists() and (found := json.loads(made.read_text(encoding="utf-8")))["name"] == name:
        is_measured = found["result"]["by_type"]["after"] or planned.hardware.count > 1
        return (
            found["result"]
            if is_measured
            else _measured(planned, found, examples, base=base, folder=Path(folder))
        )
    while True:
        try:
            return _run(planned, examples, base=base, folder=Path(folder), draft=draft, name=name)
        except _out_of_memory() as error:
            planned = smaller(planned, base, error)
        gc.collect()
        _empty_cache()


def _run(
    planned: Plan,
    examples: list[Example],
    *,
    base: str | Path,
    folder: Path,
    draft: Path,
    name: str,
) -> dict[str, Any]:
    """One attempt: from the last whole checkpoint of the same run, or from the start."""
    from accelerate import PartialState

    settings, state = planned.settings, PartialState(cpu=not planned.settings["is_gpu"])
    checkpoint = resuming.prepare(draft, name, state)
    arguments = trainer.arguments(draft, steps=planned.steps, settings=settings)
    tokenizer = loading.load_tokenizer(base)
    model = _loaded(planned, base)
    if settings["batching"] in ("packed", "padding_free"):
        batches.keeps_apart(model)
    sft, seen = _watched(planned, model, tokenizer, arguments)
    before = resuming.once(draft / "before.json", seen.evaluate, state)
    start = time.perf_counter()
    sft.train(resume_from_checkpoint=checkpoint)
    is_seen = seen.held_out and seen.held_out[-1]["step"] == sft.state.global_step
    after = seen.held_out[-1]["held_out"] if is_seen else seen.evaluate()
    sft.save_model(str(draft))
    result = _result(planned, sft, seen, before, after) | {
        "wall_seconds": round(time.perf_counter() - start, 1)
    }
    if state.is_main_process:
        tokenizer.save_pretrained(draft)
        _portable(draft / "adapter_config.json", Path(folder).parent)
        write_card(draft, result, examples=examples, base=base, settings=settings)
        records.write_json(draft / "made.json", {"name": name, "result": result})
        resuming.settle(draft, folder)
    state.wait_for_everyone()
    return result


def _portable(file: Path, run: Path) -> None:
    """The adapter's settings in one order, and a base that lies in the same run by its name there: the same training, the same file."""
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        base, modules = Path(kept["base_model_name_or_path"]), kept["target_modules"]
        kept["base_model_name_or_path"] = (
            base.name if base.is_dir() and base.resolve().parent == run.resolve() else str(base)
        )
        kept["target_modules"] = modules if isinstance(modules, str) else sorted(modules)
        records.write_json(file, kept)


def _loaded(planned: Plan, base: str | Path) -> Any:
    """A model on its device, as the plan has it."""
    settings = planned.settings
    chosen = {name: settings[name] for name in ("precision", "quantization", "method")}
    return loading.load_model(
        base, flash=planned.hardware.flash and settings["precision"] != "float32", **chosen
    )


def _measured(
    planned: Plan, made: dict[str, Any], examples: list[Example], *, base: str | Path, folder: Path
) -> dict[str, Any]:
    """The result of a run whose weights were spread over the devices, with the held-out losses that it could not measure."""
    from peft import PeftModel

    settings, pad = planned.settings, loading.load_tokenizer(base).pad_token_id
    model, sizes = _loaded(planned, base), {"pad": pad, "batch_size": settings["micro_batch_size"]}
    before = watch.held_out_losses(model, planned.held_out, **sizes)
    is_lora = settings["method"] == "lora"
    tuned = PeftModel.from_pretrained(model, str(folder)) if is_lora else _loaded(planned, folder)
    after = watch.held_out_losses(tuned, planned.held_out, **sizes)
    last = [{"step": made["result"]["steps"], "held_out": after}]
    result = made["result"] | _compared(before, after) | {"held_out_losses": last}
    write_card(folder, result, examples=examples, base=base, settings=settings)
    records.write_json(folder / "made.json", made | {"result": result})
    return result


def _watched(planned: Plan, model: Any, tokenizer: Any, arguments: Any) -> tuple[Any, Any]:
    """The trainer, and the callback that sees its losses."""
    settings = planned.settings
    tokens = sum(len(row.ids) for row in planned.trained) * settings["epochs"]
    seen = watch.watcher(tokens=tokens, live=settings["live"])
    sft = trainer.build(model, tokenizer, planned.trained, arguments, settings, [seen])
    sft.by_length = settings["batching"] == "sorted"

    def evaluate() -> dict[str, float]:
        if sft.is_fsdp_enabled or sft.is_deepspeed_enabled:
            return {}  # the weights are spread over the devices; `_measured` makes up for it
        size = settings["micro_batch_size"]
        return watch.held_out_losses(
            sft.model, planned.held_out, pad=tokenizer.pad_token_id, batch_size=size
        )

    seen.evaluate = evaluate
    return sft, seen


def _result(
    planned: Plan, sft: Any, seen: Any, before: dict[str, float], after: dict[str, float]
) -> dict[str, Any]:
    return {
        "train_losses": seen.losses,
        "held_out_losses": seen.held_out,
        **_compared(before, after),
        "trainable": sft.model.num_parameters(only_trainable=True),
        "parameters": sft.model.num_parameters(),
        "examples": len(planned.trained),
        "held_out": len(planned.held_out),
        "held_out_ids": [row.id for row in planned.held_out],
        "cut": len(planned.survey.over),
        "steps": sft.state.global_step,
        "seconds": round(seen.seconds, 1),
        "tokens_a_second": round(seen.rate),
        "peak_gb": round(watch.peak_memory(), 2),
        "micro_batch_size": planned.settings["micro_batch_size"],
        "hardware": str(planned.hardware.name),
    }


def _compared(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    return {
        "eval_before": before.get("all"),
        "eval_after": after.get("all"),
        "by_type": {"before": before, "after": after},
    }


def _out_of_memory() -> type[BaseException]:
    import torch

    return torch.OutOfMemoryError


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
