"""Held-out loss: by task type, before training and after each epoch; reproducible epochs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from medinstruct.training.examples import Row, prompt_completion


def datasets_by_type(rows: Sequence[Row], template: str) -> dict[str, Any]:
    """Return a dataset of prompts and completions for each task type, as TRL evaluates them."""
    from datasets import Dataset

    pairs: dict[str, list[dict[str, Any]]] = {row.type: [] for row in rows}
    for row in rows:
        pairs[row.type].append(prompt_completion(row.example, template))
    return {name: Dataset.from_list(pairs[name]) for name in sorted(pairs)}


def losses_by_step(state: Any, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the held-out losses by step: {"step": …, "held_out": {"all": …, type: …}}.

    A loss is in nats a response token, averaged over the responses.
    """
    counts = Counter(row.type for row in rows)
    by_step: dict[int, dict[str, float]] = {}
    for log in state.log_history:
        losses = {name: log[f"eval_{name}_loss"] for name in counts if f"eval_{name}_loss" in log}
        by_step.setdefault(log["step"], {}).update(losses)
    result = []
    for step, losses in by_step.items():
        if losses:
            mean = sum(losses[name] * n for name, n in counts.items()) / counts.total()
            means = {"all": mean} | dict(sorted(losses.items()))
            rounded = {name: round(loss, 4) for name, loss in means.items()}
            result.append({"step": step, "held_out": rounded})
    return result


def epoch_callback() -> Any:
    """Return a Trainer callback: evaluation after each epoch, seeds, progress bar.

    The order of an epoch depends on the seed and the epoch alone, and an epoch is evaluated before
    its checkpoint is saved: a resumed run equals an undisturbed one.
    """
    from tqdm import tqdm
    from transformers import TrainerCallback, set_seed

    class EpochCallback(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            steps = {"total": state.max_steps, "initial": state.global_step, "desc": "training"}
            self.bar = tqdm(**steps, leave=False, disable=not state.is_world_process_zero)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            set_seed(args.seed + int(state.epoch or 0))

        on_evaluate = on_epoch_begin

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.bar.update()
            control.should_evaluate = round(state.epoch, 6).is_integer()

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.bar.close()

    return EpochCallback()
