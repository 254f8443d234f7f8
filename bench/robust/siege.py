"""What an honest client gets of `lettergpu serve` while others misuse it, and what memory that takes.

python bench/robust/siege.py [--seconds 600] [--connections 2000] [--json FILE|-]

The capacity is what eight clients get answered in five seconds. Then, from 127.0.0.1, a process asks for twice as much,
some of it half-closed after it was sent and some reset, and holds connections: silent ones, heads and bodies that
trickle. The honest client, at 127.0.0.2, asks for a letter four times a second, and for /health. Lost is a request that
was sent in full and got no answer. The memory is the server's and its processes', shared pages counted once.
"""

import argparse
import asyncio
import collections
import http.client
import itertools
import multiprocessing
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("speed", "accuracy")]

import pictures
from rounds import publish
from serve import ask, served

import lettergpu

POST = "POST /predict?form=single HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"

CALM = 5.0  # seconds before the siege


async def hold(port: int, head: bytes, piece: bytes, counts: collections.Counter) -> None:
    """Connections, one after the other, that send a head and then a piece a second, until they are closed."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            counts["held"] += 1
            writer.write(head)
            while not reader.at_eof():
                writer.write(piece)
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), 1.0)
            writer.close()
        await asyncio.sleep(0.5)


async def request(port: int, file: bytes, way: str, counts: collections.Counter) -> None:
    """One picture: asked plainly, half-closed after it was sent, or reset."""
    answer = b""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST.format(len(file)).encode() + file)
        await writer.drain()
        if way == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif way == "half-closed":
            writer.write_eof()
        if way != "reset":
            answer = await reader.read(4096)
        writer.close()
    if way == "plain":
        counts[answer[9:12].decode() or "lost"] += 1


def attack(port: int, files: list[bytes], rate: float, connections: int, seconds: float, counts) -> None:
    """Everything that the honest client has against it; the counts are put into the queue."""

    async def all_of_it() -> collections.Counter:
        found: collections.Counter = collections.Counter()
        body = POST.format(100_000).encode()
        kinds = [(b"", b""), (GET, b"a"), (body, b"x" * 100)]
        held = [asyncio.create_task(hold(port, *kinds[i % 3], found)) for i in range(connections)]
        asked: set[asyncio.Task] = set()
        began = time.perf_counter()
        ways = itertools.cycle(["plain"] * 8 + ["half-closed", "reset"])
        for number, way in enumerate(ways):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            if time.perf_counter() - began > seconds:
                break
            task = asyncio.create_task(request(port, files[number % len(files)], way, found))
            asked.add(task)
            task.add_done_callback(asked.discard)
        if asked:
            _, unanswered = await asyncio.wait(asked, timeout=60)
            found["lost"] += len(unanswered)
        for task in held:
            task.cancel()
        return found

    counts.put(dict(asyncio.run(all_of_it())))


def memory(group: int) -> float:
    """Megabytes of a process and its descendants."""
    total, parents = 0, {group}
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((int(path.name), int((path / "stat").read_text().rpartition(")")[2].split()[1])))
    for pid, parent in sorted(found):
        if parent in parents or pid == group:
            parents.add(pid)
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def honest(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, float]:
    """The status of an answer, 0 where there was none, and its milliseconds."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=("127.0.0.2", 0))
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        response.read()
        return response.status, 1e3 * (time.perf_counter() - began)
    except OSError:
        return 0, 1e3 * (time.perf_counter() - began)
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--connections", type=int, default=2000, help="that are held")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    files = [pictures.letter(0, i, source="strokes").file for i in range(20)]
    texts = [lettergpu.read(file, form="single").text for file in files]
    with served() as (port, pid):
        with ThreadPoolExecutor(8) as pool:
            until = time.perf_counter() + CALM
            capacity = sum(map(len, pool.map(lambda i: ask(port, files, texts, i, until), range(8)))) / CALM
        counts = multiprocessing.get_context("spawn").Queue()
        given = (port, files, 2 * capacity, options.connections, options.seconds, counts)
        attacker = multiprocessing.get_context("spawn").Process(target=attack, args=given)
        attacker.start()
        letters, healthy, megabytes = [], [], []
        for number in range(int(4 * options.seconds)):
            began = time.perf_counter()
            letters.append(honest(port, "POST", "/predict?form=single", files[number % len(files)]))
            if number % 4 == 0:
                healthy.append(honest(port, "GET", "/health"))
                megabytes.append(memory(pid))
            time.sleep(max(0.0, 0.25 - (time.perf_counter() - began)))
            if not attacker.is_alive():
                break
        attacked = counts.get(timeout=120)
        attacker.join()
    rows = {"letter": letters, "/health": healthy}
    table = [f"  {'honest':>10}{'asked':>8}{'answered':>10}{'median':>12}{'99 %':>12}"]
    results = {}
    for name, row in rows.items():
        good = [taken for status, taken in row if status == 200] or [float("nan")]
        p50, p99 = np.percentile(good, (50, 99))
        results[name] = {"asked": len(row), "answered": sum(status == 200 for status, _ in row)}
        results[name] |= {"p50_ms": float(p50), "p99_ms": float(p99)}
        asked, answered = results[name]["asked"], results[name]["answered"]
        table.append(f"  {name:>10}{asked:8}{answered:10}{p50:9.1f} ms{p99:9.1f} ms")
    table.append(f"  the attackers' requests: {', '.join(f'{name} {n}' for name, n in sorted(attacked.items()))}")
    table.append(f"  memory: {megabytes[0]:.0f} MB at first, {max(megabytes):.0f} MB at most")
    results |= {"attackers": attacked, "megabytes": {"first": megabytes[0], "most": max(megabytes)}}
    settings = {"seconds": options.seconds, "connections": options.connections, "capacity": round(capacity)}
    publish("siege", settings, table, results, options.json)


if __name__ == "__main__":
    main()
