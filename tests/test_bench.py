import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench"


def test_epoch_times_the_training_loop_and_the_products_without_any_peer(monkeypatch):
    monkeypatch.delenv("LETTERGPU_EMNIST", raising=False)
    options = "--activation relu --images 2048 --rounds 1 --threads 1 --peers products-only --json -"
    command = [sys.executable, BENCH / "epoch.py", *options.split()]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert result["rows"].keys() == result["rounds"].keys() == {"lettergpu", "products-only"}
    assert all(seconds > 0 for seconds in result["rows"].values())
    settings = {"activation": "relu", "batch_size": 256, "threads": 1, "images": 2048}
    assert settings.items() <= result["settings"].items()
