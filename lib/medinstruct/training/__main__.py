"""Fine-tuning without a notebook, for many GPUs: `accelerate launch --config_file params/accelerate/ddp.yaml -m medinstruct.training params/gpu.yaml`."""

import argparse
import json
import sys
from typing import Any

from medinstruct import params, paths, records
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training.data import source
from medinstruct.training.lora import finetune_lora
from medinstruct.training.planning import settings

NOTEBOOK = "07_finetune_lora"


def main(arguments: list[str] | None = None) -> int:
    """Train what notebook 07 would train, with the same function on the same profile; every process runs this."""
    from accelerate import PartialState

    parser = argparse.ArgumentParser(prog="medinstruct.training", description=__doc__)
    parser.add_argument("profile", help="a flat YAML file such as params/gpu.yaml")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="key=value",
        help="values for this run",
    )
    given = parser.parse_args(arguments)
    try:
        result = train(given.profile, sets=given.set)
    except UserError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 2
    if PartialState().is_main_process:
        measured = result["eval_after"] is not None
        held_out = (
            f"{result['eval_before']} to {result['eval_after']}"
            if measured
            else "is measured when notebook 07 is run"
        )
        print(f"Trained {result['steps']} steps; held-out loss {held_out}.")
    return 0


def train(profile: str, *, sets: list[str]) -> dict[str, Any]:
    """The adapter and `training.json` of a run, from its dataset."""
    import torch
    from accelerate import PartialState

    declared = params.declared(paths.root() / "notebooks" / f"{NOTEBOOK}.ipynb")
    values = (
        {name: default for name, (_, default) in declared.items()}
        | params.profile(profile)
        | params.set_values(sets)
    )
    values = {
        name: params.typed(name, value, declared[name][0])
        for name, value in values.items()
        if name in declared
    }
    out = paths.outputs(values["run"])
    base = str(out / "student") if values["base_model"] == "student" else values["base_model"]
    state = PartialState(cpu=not torch.cuda.is_available())
    examples = records.read(source(out, values["train_on"]), Example)
    result = finetune_lora(
        examples, base=base, folder=out / "adapter", **settings(values) | {"live": True}
    )
    if state.is_main_process:
        earlier = out / "training.json"
        kept = json.loads(earlier.read_text()) if earlier.exists() else {"student": {}}
        records.write_json(earlier, kept | {"lora": result, "base_model": values["base_model"]})
    return result


if __name__ == "__main__":
    sys.exit(main())
