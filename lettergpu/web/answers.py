"""What is answered to a picture, as JSON."""

import json
import logging
import traceback
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LettergpuError

if TYPE_CHECKING:
    from ..reading.reader import Reader

UNEXPECTED = "that went wrong through an error in lettergpu: the server's log says where"
TOO_MUCH_MEMORY = "reading this picture takes more memory than the server gives one: make it smaller"

log = logging.getLogger(__name__)


def answer(reader: "Reader", image: bytes, inside: bool = False, **options: Any) -> tuple[int, bytes]:
    """The status and the JSON that answers a picture; 503 where there was no memory to read it."""
    try:
        return 200, json.dumps(_table(reader, image, inside, options)).encode()
    except MemoryError:
        return refusal(503, TOO_MUCH_MEMORY)
    except LettergpuError as error:
        if isinstance(error.__cause__, MemoryError):  # in a decoder, which may fail in any way
            return refusal(503, TOO_MUCH_MEMORY)
        return refusal(400, str(error))
    except Exception as error:
        log_place(error)
        return refusal(500, UNEXPECTED)


def refusal(status: int, sentence: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": sentence}).encode()


def described(reader: "Reader") -> dict[str, Any]:
    """The network, as /health tells of it."""
    network = reader.network
    return {"sizes": network.sizes, "activation": network.activation, "loss": network.loss}


def log_place(error: Exception) -> None:
    """Where an error of our own happened; not its message, which may hold some of a picture."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s in answering a request:\n%s", type(error).__name__, frames)


def _table(reader: "Reader", image: bytes, inside: bool, options: dict[str, Any]) -> dict[str, Any]:
    reading = reader.read(image, **options)
    answer = reading.table()
    if inside:
        layers = [_signed_bytes(layer) for layer in reader.hidden(reading.letters)]
        for i, letter in enumerate(reading.letters):
            answer["letters"][i]["image"] = _base64(letter.seen)
            answer["letters"][i]["normal"] = _base64(letter.image)
            answer["letters"][i]["hidden"] = [
                {"scale": scale, "values": _base64(values[i])} for scale, values in layers
            ]
    return answer


def _signed_bytes(layer: np.ndarray) -> tuple[float, np.ndarray]:
    """A scale and int8 (letters, nodes), of which the furthest from 0 is 127 or -127."""
    scale = float(np.abs(layer).max(initial=0.0)) or 1.0
    return scale, np.rint(layer * (127 / scale)).astype(np.int8)


def _base64(array: np.ndarray) -> str:
    return b64encode(array.tobytes()).decode()
