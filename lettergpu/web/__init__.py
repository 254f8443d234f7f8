"""Reading letters over HTTP, and the page to write them on."""

from importlib.util import find_spec

from ..errors import LettergpuError

for needed in ("starlette", "uvicorn"):
    if find_spec(needed) is None:
        raise LettergpuError(f"{needed} is not installed: pip install -e '.[web]'")
