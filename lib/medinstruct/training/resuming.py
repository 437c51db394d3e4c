"""What makes two runs the same, where a killed one goes on, and how a finished one takes its place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.records import Example
from medinstruct.training.planning import Plan

NOT_IN_NAME = (
    "live",
    "auto_batch",
    "report_to",
    "checkpoints",
    "micro_batch_size",
    "accumulation",
    "is_gpu",
)


def name(examples: list[Example], base: str | Path, planned: Plan) -> str:
    """The hash of all that the result depends on: the data as it is read, the base model, the settings."""
    built = Path(base) / "built.json"
    local = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(Path(base).glob("*.*"))
    ]
    files = [built.read_text()] if built.is_file() else local
    of_base = files or str(
        base
    )  # of the hub by its name, of a folder by its files' sizes and times
    kept = {key: value for key, value in planned.settings.items() if key not in NOT_IN_NAME}
    return records.content_hash(
        [[e.id, e.instruction, e.input, e.output] for e in examples], of_base, kept
    )


def prepare(draft: Path, name: str, state: Any) -> str | None:
    """The last whole checkpoint of the run of this name; what another run left is taken away."""
    mark = draft / "run.json"
    if state.is_main_process and not (
        mark.exists() and json.loads(mark.read_text())["name"] == name
    ):
        shutil.rmtree(draft, ignore_errors=True)
        records.write_json(mark, {"name": name})
    state.wait_for_everyone()
    whole = [path.parent for path in draft.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def once(path: Path, measure: Callable[[], dict[str, float]], state: Any) -> dict[str, float]:
    """What was measured before training began, kept for a run that is resumed."""
    if path.exists():
        return json.loads(path.read_text())
    found = measure()
    if state.is_main_process:
        records.write_json(path, found)
    return found


def settle(draft: Path, folder: Path) -> None:
    """The finished adapter takes its place; checkpoints and marks go."""
    for path in [
        *draft.glob("checkpoint-*"),
        draft / "run.json",
        draft / "before.json",
        draft / "training_args.bin",
    ]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
