"""Preference trainer: a tuned adapter trained further by DPO or KTO on TRL."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medinstruct import records
from medinstruct.errors import UserError, check_choice
from medinstruct.llm import local
from medinstruct.training import config, trainer
from medinstruct.training.examples import tokenize
from medinstruct.training.preferences import Preference

METHODS = ("dpo", "kto")


def drawn(pairs: Sequence[Preference], *, seed: int) -> list[Preference]:
    """Resample the pairs by weight (systematic sampling) and return them in random order."""
    order = random.Random(seed).sample(list(pairs), len(pairs))
    ends = np.cumsum([pair.weight for pair in order])
    if not len(order) or np.ptp([pair.weight for pair in order]) == 0:
        return order
    points = (np.arange(len(order)) + 0.5) * ends[-1] / len(order)
    rows = [order[n] for n in np.searchsorted(ends, points)]
    return random.Random(seed).sample(rows, len(rows))


def on_tokens(kind: type) -> type:
    """Return TRL's DPOTrainer or KTOTrainer for tokenized data, without TRL's own templates."""

    class OnTokens(kind):
        def _prepare_dataset(self, dataset: Any, *form: Any) -> Any:
            return dataset

    OnTokens.__name__ = kind.__name__
    return OnTokens


def tune_preferences(
    pairs: Sequence[Preference],
    *,
    base: str | Path,
    adapter: str | Path,
    folder: str | Path,
    build: Callable | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a tuned adapter further by DPO or KTO, save it in `folder`, return losses and counts.

    `settings` are `preferences` of data/training.yaml; `build` returns TRL's trainer. The reference
    is a frozen copy of the adapter. A killed run resumes, a finished one returns its result.
    """
    import trl

    values, folder = config.complete(settings, part="preferences"), Path(folder)
    check_choice("method", values["method"], METHODS)
    if not (Path(adapter) / "adapter_config.json").exists():
        do = "Run notebook 08 with a lora_rank above 0 first."
        raise UserError("Preferences continue a LoRA adapter.", got=adapter, do=do)
    texts = [[p.prompt, p.input, p.chosen, p.rejected, p.weight] for p in pairs]
    learning = {key: value for key, value in values.items() if key not in trainer.NOT_HASHED}
    recipes = [config.recipe(part) for part in ("trainer", "prompts")]
    start, method = local.fingerprint(adapter), values["method"]
    name = records.content_hash(texts, *trainer.identity(base), start, learning, recipes)
    used = [pair for pair in pairs if pair.is_pair or method == "kto"]
    build = build or on_tokens(getattr(trl, f"{method.upper()}Trainer"))

    def train(draft: Path) -> tuple[Any, dict[str, Any]]:
        trained, held = split(used, share=values["eval_share"], seed=values["seed"])
        tokenizer = local.load_tokenizer(base)
        rows, over = _rows(drawn(trained, seed=values["seed"]), tokenizer, values)
        rest, _ = _rows(held, tokenizer, values)
        if not (rows and rest):
            got, do = f"max_length {values['max_length']}", "Raise it in `preference_options`."
            raise UserError("Too few pairs fit to train and to hold out.", got=got, do=do)
        form = {"beta": values["beta"], "precompute_ref_log_probs": True}
        form["train_sampling_strategy"] = {"dpo": "random", "kto": "sequential"}[method]
        kind = getattr(trl, f"{method.upper()}Config")
        args = config.trainer_arguments(kind, draft, values, **form)
        form = {"train_dataset": _dataset(rows, values), "eval_dataset": _dataset(rest, values)}
        policy = load_policy(base, adapter, values)
        made = build(model=policy, args=args, processing_class=tokenizer, **form)
        result = _result(made, trainer.fit(made, draft, name))
        for extra in made.model.peft_config.keys() - {"default"}:
            made.model.delete_adapter(extra)  # the reference
        counts = {"trained": len(rows), "held_out": len(rest), "over": over, "start": start}
        return made, result | counts | {"method": method, "beta": values["beta"]}

    sources, settings = Counter(pair.source for pair in used), dict(sorted(values.items()))
    about = {"settings": settings, "sources": sources}
    about["tags"] = ["medical", "preferences", method, "lora"]
    card = partial(trainer.write_card, base=base, template="preference_card.md.j2", **about)
    return trainer.in_draft(folder, name, train, card=card)


def split(pairs: Sequence[Preference], *, share: float, seed: int) -> tuple[list, list]:
    """Return training and held-out rows, at least one pair; all rows of a prompt go to one side."""
    held: set[str] = set()
    for kind in (True, False):  # pairs, and thumbs
        prompts = sorted({pair.prompt for pair in pairs if pair.is_pair == kind})
        number = min(len(prompts), max(1, round(share * len(prompts))))
        held |= set(random.Random(seed).sample(prompts, number))
    sides = [[p for p in pairs if (p.prompt in held) == is_held] for is_held in (False, True)]
    return sides[0], sides[1]


def _rows(pairs: Sequence[Preference], tokenizer: Any, values: dict) -> tuple[list[dict], int]:
    """Return tokenized pairs, or for KTO answers with their label, and how many are too long."""
    rows = []
    for pair in pairs:
        ids = {}
        for side in ("chosen", "rejected"):
            if text := getattr(pair, side):
                row = tokenize(pair.task(text), tokenizer=tokenizer, template=values["template"])
                ids[side] = row.ids[row.start :]
        parts = [{f"{side}_ids": ids[side] for side in ids}]
        if values["method"] == "kto":
            parts = [{"completion_ids": ids[s], "label": s == "chosen"} for s in ids]
        for part in parts:
            longest = row.start + max(len(ids) for ids in part.values() if isinstance(ids, list))
            rows.append((longest, {"prompt_ids": row.ids[: row.start]} | part))
    whole = [row for longest, row in rows if longest <= values["max_length"]]
    return whole, len(rows) - len(whole)


def _dataset(rows: list[dict], values: dict) -> Any:
    """Return TRL's dataset; KTO estimates its KL term from the answers, shifted by one row."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    if values["method"] == "kto":
        moved = [row["completion_ids"] for row in (*rows[-1:], *rows[:-1])]
        rows = [row | {"KL_completion_ids": ids} for row, ids in zip(rows, moved, strict=True)]
    return Dataset.from_list(rows) if rows else None


def load_policy(base: str | Path, adapter: str | Path, values: Mapping[str, Any]) -> Any:
    """Return the base model with the adapter to train."""
    from peft import PeftModel

    form = config.weight_arguments(values)
    network = local.load_pretrained(local.model_class(base).from_pretrained, base, **form)
    policy = local.load_pretrained(
        lambda folder: PeftModel.from_pretrained(network, folder, is_trainable=True), adapter
    )
    policy.peft_config["default"].base_model_name_or_path = str(base)  # where checkpoints find it
    return policy


def _result(made: Any, metrics: dict[str, float]) -> dict[str, Any]:
    """Return loss curves and speed of a training.

    accuracy: share of pairs whose chosen answer gained more than the rejected one; margin: by how
    much, in nats times beta; chosen, rejected: log-likelihoods.
    """
    names = {"loss": "loss", "rewards/accuracies": "accuracy", "rewards/margins": "margin"}
    names |= {"logps/chosen": "chosen", "logps/rejected": "rejected"}
    logs = made.state.log_history

    def curve(kind: str) -> list[dict[str, float]]:
        keys = {kind + key: name for key, name in names.items()}
        rows = [log for log in logs if f"{kind}loss" in log]
        numbers = [{keys[k]: round(v, 4) for k, v in row.items() if k in keys} for row in rows]
        return [{"step": row["step"]} | part for row, part in zip(rows, numbers, strict=True)]

    return {
        "curve": curve(""),
        "held_out_curve": curve("eval_"),
        "steps": made.state.global_step,
        "seconds": round(metrics["train_runtime"], 1),
        "machine": config.machine(),
        "hardware": config.device(),
    }
