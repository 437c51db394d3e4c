"""The GPU benchmark runs as it is in tiny shapes on a CPU, keeps to its times and says what it could not measure."""

import importlib.util
import json
import time

import pytest

from medinstruct import paths
from medinstruct.training import config


@pytest.fixture(scope="module")
def gpu():
    place = paths.root() / "lib" / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_benchmark", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_measures_training_and_generation_side_by_side(gpu, tmp_path, capsys):
    command = ["--small", "--seconds", "0.1", "--only", "sorted|generation"]
    rows = gpu.main([*command, "--out", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == rows
    speeds = {row["part"]: row.get("tokens_a_second", 0) for row in rows}
    measured = {"LoRA, sorted", "full, sorted", "generation, adapter off", "generation, adapter on"}
    assert {name for name, speed in speeds.items() if speed > 0} >= measured
    notes = {row["part"]: row["note"] for row in rows if "note" in row}
    assert notes.keys() == {name for name, speed in speeds.items() if not speed}
    assert all(row["ratio"] == 1 for row in rows if row["part"] == "LoRA, sorted")
    assert "full, sorted" in capsys.readouterr().out


def test_a_slow_part_is_stopped_and_a_late_one_not_begun(gpu):
    begin = time.monotonic()
    (row,) = gpu.limited(time.sleep, (30,), "slow", begin + 100, 1.0)
    assert row == {"part": "slow", "note": "stopped after 1 s"} and time.monotonic() - begin < 5
    assert gpu.limited(time.sleep, (30,), "late", begin, 60.0)[0]["note"] == "no time left"


@pytest.mark.parametrize(
    "name, rate",
    [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA H200", 989)]
    + [("NVIDIA L40S", 362), ("NVIDIA A10G", 70), ("Tesla T4", 65), ("CPU", 0)],
)
def test_a_card_has_the_rate_of_the_longest_name_that_fits(gpu, monkeypatch, name, rate):
    monkeypatch.setattr(config, "device", lambda: name)
    assert gpu.peak() == rate


def test_the_operations_of_a_token_are_those_of_the_formula(gpu, tmp_path):
    gpu.build(tmp_path, gpu.TINY)
    shape = gpu.TINY
    wide, deep = shape["hidden_size"], shape["num_hidden_layers"]
    layer = 4 * wide**2 + 3 * wide * shape["intermediate_size"] + 2 * wide
    matrices = deep * layer + shape["vocab_size"] * wide + wide
    rows = [{"input_ids": [0] * 10}]
    assert gpu.flops_per_token(tmp_path, 7, rows) == 4 * matrices + 14 + 12 * deep * wide * 10
