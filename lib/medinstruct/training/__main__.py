"""Fine-tuning command line: `accelerate launch … -m medinstruct.training params/gpu.yaml`."""

import argparse
import json
import sys
from typing import Any

from medinstruct import params, paths, records
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training import finetune_lora, settings, training_file

NOTEBOOK = "07_finetune_lora.ipynb"


def main() -> int:
    """Train what notebook 07 trains, by the same function and profile; every process runs this."""
    parser = argparse.ArgumentParser(prog="medinstruct.training", description=__doc__)
    parser.add_argument("profile", help="a YAML file such as params/gpu.yaml")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="key=value")
    given = parser.parse_args()
    try:
        train(params.profile(given.profile) | params.set_values(given.set))
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    return 0


def train(given: dict[str, Any]) -> None:
    """Train a run's adapter from its dataset, and write its training.json."""
    from accelerate import PartialState

    declared = params.declared(paths.root() / "notebooks" / NOTEBOOK)
    values = {name: given.get(name, default) for name, (_, default) in declared.items()}
    values = {name: params.typed(name, value, declared[name][0]) for name, value in values.items()}
    out = paths.outputs(values["run"])
    base = str(out / "student") if values["base_model"] == "student" else values["base_model"]
    examples = records.read(training_file(out, values["train_on"]), Example)
    result = finetune_lora(examples, base=base, folder=out / "adapter", **settings(values))
    if PartialState().is_main_process:
        file = out / "training.json"
        earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"student": {}}
        records.write_json(file, earlier | {"lora": result, "base_model": values["base_model"]})


if __name__ == "__main__":
    sys.exit(main())
