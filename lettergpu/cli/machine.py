"""`lettergpu bench` and `lettergpu info`: what this machine has, and how fast it is."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from ..config import Config
from .options import DEVICE_HELP, AsJson, parse_hidden, setting


def bench(
    device: Annotated[str | None, typer.Option(help=DEVICE_HELP, show_default="cpu and all usable GPUs")] = None,
    activation: Annotated[str | None, setting("activation", "Of the hidden layers.")] = None,
    hidden: Annotated[str | None, setting("hidden", "Nodes of each hidden layer; none for a perceptron.")] = None,
    batch_size: Annotated[int | None, setting("batch_size", "Images a step.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure in half a minute how fast this machine trains and answers."""
    from ..backends.libraries import LIBRARIES
    from . import console

    config = replace(
        Config.recipe("report"),
        activation=activation or Config.activation,
        hidden=Config.hidden if hidden is None else parse_hidden(hidden),
        batch_size=Config.batch_size if batch_size is None else batch_size,
        augment="none",
    )
    names = [device] if device else ["cpu"]
    if not device:  # other libraries' CPU is this one
        found_there = (each.name for library in LIBRARIES.values() for each in library.devices()[0])
        names += [name for name in found_there if not name.endswith(":cpu")]
    found = _measured(config, names)
    console.answer(found, as_json, lambda: _table(config, found))


def _measured(config: Config, names: list[str]) -> dict[str, dict[str, float]]:
    """Measure each device under a bar, and say what was found; the numbers of `short_form`, by the device's name."""
    from tqdm import tqdm

    from ..backends.libraries import resolve
    from .benchmark import CALLS, short_form

    devices = [resolve(name)[0] for name in names]
    found: dict[str, dict[str, float]] = {}
    with tqdm(total=len(devices) * (2 + len(CALLS)), leave=False, disable=None, bar_format="{desc} {bar}") as bar:
        for device in devices:
            bar.set_description_str(device.name)
            found[device.name] = {}
            for name, number in short_form(config, device):
                found[device.name][name] = number
                bar.update()
    return found


def _table(config: Config, found: dict[str, dict[str, float]]) -> None:
    """What `bench` found."""
    from ..backends.device import CPU
    from ..backends.host import threads
    from .benchmark import CALLS, COUNT, kernels

    shape = "-".join(map(str, (784, *config.hidden, 26)))
    print(f"{shape}, {config.activation}, batch {config.batch_size}, built-in letters")
    for name, row in found.items():
        about = "kernels of our own for it" if name.startswith("cuda:") else "the formulas, by the library's operations"
        if name == CPU.name:
            about = f"{threads()} thread(s), kernels of {kernels()}"
        print(f"\n{name}: {about}")
        print(f"   an epoch of {COUNT:,} letters     {row['epoch']:8.2f} s   {COUNT / row['epoch']:12,.0f} images/s")
        print(f"   its products of matrices alone {row['products_only']:8.2f} s   by the BLAS of the device's library")
        for size in CALLS:
            print(f"   answers, {size:5,} images a call {'':14}{row[f'images_per_second_{size}']:12,.0f} images/s")
    fastest = min(found, key=lambda name: found[name]["epoch"])
    seconds = found[fastest]["epoch"]
    print(f"\ntrain --recipe report stops after some 13 epochs of EMNIST's letters: {13 * seconds:.0f} s on {fastest}.")


def info(as_json: AsJson = False) -> None:
    """Show versions, devices, and what is usable and why not."""
    from . import console

    about = _about()
    console.answer(about, as_json, lambda: _show(about))


def _about() -> dict[str, Any]:
    """What `info` tells: versions, and each device or what stands in its way."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from ..backends.host import library
    from ..backends.libraries import LIBRARIES, cuda_details
    from .progress import working

    packages: dict[str, str | None] = {}
    of_libraries = (package for row in LIBRARIES.values() for package in row.packages)
    for package in ("numpy", "array-api-compat", *of_libraries, "safetensors", "matplotlib", "typer"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    host, compiler = library()
    kernels = f"its kernels compiled by {compiler}" if host else f"by NumPy alone, which is slower: {compiler}"
    devices = [{"name": "cpu", "usable": True, "about": kernels}]
    for prefix, row in LIBRARIES.items():
        with working(f"asking {row.title} for its devices, which takes it a while the first time"):
            found, trouble = row.devices()
        for name, kind in found:
            details = f": {cuda_details(name)}" if prefix == "cuda" else ""
            devices.append({"name": name, "usable": True, "about": f"{kind}{details}"})
        if trouble:
            devices.append({"name": prefix, "usable": False, "about": trouble})
    versions = {"lettergpu": version("lettergpu"), "python": platform.python_version(), "system": platform.platform()}
    return versions | {"packages": packages, "devices": devices}


def _show(about: dict[str, Any]) -> None:
    """The same for people."""
    print(f"lettergpu {about['lettergpu']}, Python {about['python']}, {about['system']}")
    for package, version in about["packages"].items():
        print(f"   {package:18}{version or 'not installed'}")
    print("Devices")
    for device in about["devices"]:
        print(f"   {device['name']:14}{'' if device['usable'] else 'not '}usable: {device['about']}")
