"""What augmentation costs: seconds an epoch without any, and with each kind.

python bench/speed/augment.py [--activation tanhexp|relu|swish|mish] [--threads N] [--rounds 7] [--json FILE|-]

784-512-256-128-26, batch 256, float32, on the CPU. Letters: the first ones of the folder that LETTERGPU_EMNIST names,
else built-in ones. affine and elastic move every image, rotate half of them.
"""

import argparse
from dataclasses import replace

from epoch import timed
from rounds import limit_threads, report, seconds_in_turn

from lettergpu.cli.benchmark import COUNT, Task, kernels, letters, training
from lettergpu.config import CHOICES, Config
from lettergpu.nn.activations import ACTIVATIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", choices=list(ACTIVATIONS), default=Config.activation)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    threads = limit_threads(options.threads)
    images, labels, kind = letters(COUNT)
    plain = replace(Config.recipe("report"), activation=options.activation)
    contestants = {
        augment: timed(training(Task(replace(plain, augment=augment), images, labels)))
        for augment in CHOICES["augment"]
    }
    settings = {"activation": options.activation, "threads": threads, "images": len(labels), "letters": kind}
    seconds = seconds_in_turn(contestants, options.rounds)
    report(f"augment-{options.activation}-t{threads}", settings | {"kernels": kernels()}, seconds, options.json)


if __name__ == "__main__":
    main()
