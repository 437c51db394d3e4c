"""What this machine has, and what is missing for which part."""

import importlib.metadata
import os
import platform

NEEDS = {
    "the data notebooks": ["openai", "pydantic", "papermill", "pandas", "matplotlib", "seaborn", "rapidfuzz", "ipywidgets"],
    "training and answering": ["torch", "transformers", "trl", "peft", "accelerate", "datasets"],
}


def doctor() -> list[str]:
    """One line a finding: versions, the accelerator, and whether a key is set (never the key)."""
    lines = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    for part, packages in NEEDS.items():
        found = {name: _version(name) for name in packages}
        missing = [name for name, version in found.items() if not version]
        versions = ", ".join(f"{name} {version}" for name, version in found.items() if version)
        lines.append(f"{part}: {versions or 'nothing installed'}")
        lines += [f"  missing: {', '.join(missing)}; install with: pip install 'medinstruct[train]'"] if missing else []
    lines.append(_accelerator())
    lines.append(f"OPENAI_API_KEY is {'set' if os.environ.get('OPENAI_API_KEY') else 'not set (the demo needs none)'}")
    return lines


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _accelerator() -> str:
    if not _version("torch"):
        return "accelerator: unknown (no torch)"
    import torch

    return f"accelerator: {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "accelerator: none, CPU only"
