"""The plan: what would be trained, with which settings and why, in how many steps, and what it will take."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training import fit, forecast, loading, trainer
from medinstruct.training.data import Survey, split, survey
from medinstruct.training.fit import Choice, Hardware
from medinstruct.training.templates import Row

DEFAULTS: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": 2e-4,
    "batch_size": 16,
    "micro_batch_size": 8,
    "max_length": 1024,
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "warmup_ratio": 0.03,
    "eval_share": 0.1,
    "precision": "auto",
    "quantization": "none",
    "seed": 42,
    "method": "lora",
    "lora_kind": "lora",
    "template": "alpaca",
    "batching": "auto",
    "gradient_checkpointing": "auto",
    "over_length": "drop",
    "unfinished": "refuse",
    "train_share": 1.0,
    "weight_decay": 0.0,
    "neftune_alpha": 0.0,
    "kernels": "none",
    "compiled": False,
    "auto_batch": True,
    "checkpoints": 10,
    "max_steps": 0,
    "report_to": "none",
    "live": True,
}


@dataclass(frozen=True)
class Plan:
    """What will be trained and how: the survey of the data, the split, the settings with their reasons, the forecast."""

    survey: Survey
    trained: list[Row]
    held_out: list[Row]
    hardware: Hardware
    choices: dict[str, Choice]
    settings: dict[str, Any]
    steps: int
    memory: dict[str, float]
    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens that one pass over the training examples reads."""
        return sum(len(row.ids) for row in self.trained)

    @property
    def trained_tokens(self) -> int:
        """Those of them that count in the loss."""
        return sum(len(row.ids) - row.start for row in self.trained)


def plan(examples: list[Example], *, base: str | Path, timed: bool = True, **settings: Any) -> Plan:
    """What `finetune_lora` would do with the same keywords; nothing is loaded but the tokenizer and the model's shape."""
    loading.hush()
    settings = _complete(settings)
    tokenizer, config, hardware = (
        loading.load_tokenizer(base),
        loading.load_config(base),
        fit.probe(),
    )
    names = ("max_length", "template", "over_length", "unfinished")
    found = survey(examples, tokenizer=tokenizer, **{name: settings[name] for name in names})
    trained, held_out = split(
        found.rows,
        share=settings["eval_share"],
        seed=settings["seed"],
        train_share=settings["train_share"],
    )
    names = (
        "batch_size",
        "micro_batch_size",
        "max_length",
        "method",
        "lora_kind",
        "lora_rank",
        "precision",
    )
    names += ("quantization", "batching", "gradient_checkpointing", "kernels")
    choices = fit.propose(hardware, config, **{name: settings[name] for name in names})
    chosen = (
        settings
        | {name: choice.value for name, choice in choices.items()}
        | {"is_gpu": hardware.is_gpu}
    )
    units = len(trained)
    if chosen["batching"] == "packed":
        units, chosen = _packed(trained, chosen, hardware.count)
    chosen["accumulation"] = trainer.accumulation(
        chosen["batch_size"], chosen["micro_batch_size"], hardware.count
    )
    steps = settings["max_steps"] or -(-units // chosen["batch_size"]) * settings["epochs"]
    shape = {
        name: chosen[name]
        for name in ("micro_batch_size", "method", "lora_rank", "precision", "quantization")
    }
    _fits(config, max(len(row.ids) for row in found.rows))
    shape |= {
        "max_length": min(settings["max_length"], max(found.lengths)),
        "checkpointing": chosen["gradient_checkpointing"],
    }
    seconds = (
        forecast.seconds(
            config, trained, epochs=settings["epochs"], is_gpu=hardware.is_gpu, **shape
        )
        if timed
        else 0.0
    )
    need = forecast.memory(config, **shape)
    return Plan(
        found,
        trained,
        held_out,
        hardware,
        choices,
        chosen,
        int(steps),
        need,
        seconds / hardware.count,
    )


def settings(scope: dict[str, Any]) -> dict[str, Any]:
    """The values of a page (`globals()`) or of a profile that training takes."""
    return {name: scope[name] for name in DEFAULTS if name in scope}


def _complete(given: dict[str, Any]) -> dict[str, Any]:
    """The settings with their defaults; an unknown one is refused."""
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise UserError(
            "Fine-tuning has no such setting.",
            got=", ".join(unknown),
            do=f"Known: {', '.join(DEFAULTS)}.",
        )
    return DEFAULTS | given


def smaller(planned: Plan, base: str | Path, error: BaseException) -> Plan:
    """The same plan with half the micro-batch and the same global batch, or one message with what would fit."""
    settings = planned.settings
    half = settings["micro_batch_size"] // 2
    if (
        settings["auto_batch"]
        and half
        and planned.hardware.count == 1
        and settings["batch_size"] % half == 0
    ):
        steps = trainer.accumulation(settings["batch_size"], half, 1)
        return Plan(
            **vars(planned)
            | {"settings": settings | {"micro_batch_size": half, "accumulation": steps}}
        )
    names = ("micro_batch_size", "max_length", "precision", "quantization", "method", "lora_rank")
    given = {key: settings[key] for key in names} | {
        "checkpointing": settings["gradient_checkpointing"]
    }
    do = forecast.smallest_change(
        loading.load_config(base), available=planned.hardware.memory, **given
    )
    got = f"micro_batch_size {settings['micro_batch_size']} at up to {settings['max_length']} tokens on {planned.hardware}"
    raise UserError("The memory of the device is used up.", got=got, do=do) from error


def _packed(rows: list[Row], chosen: dict[str, Any], processes: int) -> tuple[int, dict[str, Any]]:
    """Packed rows hold several examples: fewer of them make a step of about as many examples as were asked for."""
    mean = sum(len(row.ids) for row in rows) / len(rows)
    count = max(1, round(len(rows) * mean / chosen["max_length"]))
    micro = max(
        1,
        min(
            chosen["micro_batch_size"],
            round(chosen["batch_size"] * mean / chosen["max_length"] / processes),
        ),
    )
    steps = max(1, round(chosen["batch_size"] * mean / chosen["max_length"] / processes / micro))
    return count, chosen | {"micro_batch_size": micro, "batch_size": micro * steps * processes}


def _fits(config: Any, longest: int) -> None:
    """Refuse examples that are longer than what the base model was made for."""
    most = getattr(config, "max_position_embeddings", None)
    if most and longest > most:
        do = f"Set max_length: {most} or less, or choose another base model."
        raise UserError(
            "Examples are longer than the base model can read.",
            got=f"{longest} of {most} tokens",
            do=do,
        )
