"""Fine-tuning command line: `accelerate launch … -m medinstruct.training PROFILE [key=value …]`."""

import sys

from medinstruct import failures, llm, params, paths, records
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training import finetune_lora, settings, training_file


def main(profile: str, *sets: str) -> None:
    """Train the adapter of notebook 08; each process of `accelerate launch` runs this."""
    from accelerate import PartialState

    values = params.merged(profile, sets)
    out = paths.outputs(values["run"])
    base = llm.model_folder(values["base_model"])
    examples = records.read(training_file(out), Example)
    result = finetune_lora(examples, base=base, folder=out / "adapter", **settings(values))
    if PartialState().is_main_process:
        file = out / "training.json"
        chosen = {name: values[name] for name in ("base_model", "template")}
        records.write_json(file, paths.read_json(file) | {"lora": result} | chosen)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # shown as one message
        known = isinstance(error, UserError)
        sys.exit(str(error if known else failures.unforeseen(error, "Training stopped.")))
