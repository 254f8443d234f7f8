import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np

from lettergpu.data.letters import load_letters

BENCH = Path(__file__).parents[2] / "bench" / "accuracy"


def test_printed_letters_are_set_among_the_others_in_their_form(tmp_path):
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in ("cmb10.ttf", "cmtt10.ttf"):
        (tmp_path / name).symlink_to(fonts / name)
    command = [sys.executable, BENCH / "printed.py", tmp_path / "made", "--data", "builtin", "--count", "60"]
    done = subprocess.run([*command, "--fonts", tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "26,060 letters, 60 of them as pictures have them, of 2 fonts\n"
    made, given = load_letters(str(tmp_path / "made")), load_letters("builtin")
    np.testing.assert_array_equal(made.test.images, given.test.images)
    np.testing.assert_array_equal(made.test.labels, given.test.labels)
    known = {image.tobytes() for image in given.train.images}
    new = np.stack([image for image in made.train.images if image.tobytes() not in known])
    assert 55 <= len(new) <= 60
    assert (new.max(axis=(1, 2)) == 255).all()
    ink = new >= 128
    tall, wide = (ink.any(axis=axis).sum(axis=1) for axis in (2, 1))
    assert np.percentile(np.maximum(tall, wide), 10) >= 20
    assert len(np.unique(made.train.labels)) == 26


def test_without_fonts_it_says_what_to_do(tmp_path):
    command = [sys.executable, BENCH / "printed.py", tmp_path / "made", "--data", "builtin", "--fonts", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "there are no fonts" in done.stderr
    assert done.returncode == 1
