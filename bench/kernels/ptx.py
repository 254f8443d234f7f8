"""What CUDA's compiler makes of a function, run on a machine without a GPU: NVRTC's PTX, translated to C++.

PTX names each operation and how it rounds; ulp_ptx.h holds a C++ function for each. Refused is what the PTX leaves to
others: an approximation (ex2.approx) that rounds as the GPU likes, and a product that the next compiler, from PTX to
machine code, may fuse with the add or sub that takes it, unless one says .rn or the product is exact.
"""

import re
from collections import Counter
from dataclasses import dataclass

OPTIONS = ("--std=c++17", "-ftz=true", "--device-as-default-execution-space")  # CuPy's, less its include paths
TYPES = {"f": "float", "r": "uint32_t", "p": "uint32_t"}  # by the first letter of a register's name
POWER_OF_2 = r"bits<float>\(0x[0-9A-F]{2}[08]00000u\)"  # or a 0


class Nvrtc:
    """The NVRTC that CuPy finds. Raises ImportError if there is none."""

    def __init__(self) -> None:
        try:
            from cupy.cuda import nvrtc

            self.version = "{}.{}".format(*nvrtc.getVersion())
        except (ImportError, OSError, RuntimeError) as error:
            raise ImportError(str(error).strip().partition("\n")[0]) from error
        self._nvrtc = nvrtc

    def architectures(self) -> list[int]:
        return sorted(self._nvrtc.getSupportedArchs())

    def ptx(self, source: str, architecture: int) -> str:
        program = self._nvrtc.createProgram(source, "ulp.cu", (), ())
        try:
            self._nvrtc.compileProgram(program, (*OPTIONS, f"-arch=compute_{architecture}"))
            text = self._nvrtc.getPTX(program)
        finally:
            self._nvrtc.destroyProgram(program)
        return text.decode() if isinstance(text, bytes) else text


@dataclass
class Instruction:
    guard: str  # a C++ mask, or "" if it is always executed
    opcode: list[str]
    operands: list[str]

    def one_of(self, *opcodes: str) -> bool:
        return self.opcode[0] in opcodes

    def __str__(self) -> str:
        return f"{'.'.join(self.opcode)} {', '.join(self.operands)}"


def translate(ptx: str, kernel: str) -> str:
    """C++ statements that set `got` from `z` as the kernel does with its one load and its one store.

    There is no branch in them, so that a loop around them vectorizes: every instruction is executed, `live` says
    whether the kernel would have done so, and what several instructions may set is only set where they are live.
    Raises ValueError for what could be something else on a GPU, and for a loop.
    """
    statements = _statements(ptx, kernel)
    code = [each for each in statements if isinstance(each, Instruction)]
    _refuse_what_is_open(code)
    writes = Counter(each.operands[0] for each in code if not each.one_of("st", "bra", "ret"))
    writes.update(each.operands[0] for each in code if each.guard and not each.one_of("bra", "ret"))
    lines = [f"{TYPES[register[0]]} {register} = 0;" for register, count in writes.items() if count > 1]
    lines.append("uint32_t live = ~0u;")
    awaited: set[str] = set()
    passed: set[str] = set()
    for each in statements:
        if isinstance(each, str):
            passed.add(each)
            if each in awaited:
                lines.append(f"live |= to_{each};")
            continue
        here = f"(live & {each.guard})" if each.guard else "live"
        if each.one_of("bra", "ret"):
            for label in each.operands:
                if label in passed:
                    raise ValueError(f"{kernel}: a loop to {label}")
                lines.append(f"{'' if label in awaited else 'uint32_t '}to_{label} {'|' * (label in awaited)}= {here};")
                awaited.add(label)
            lines.append(f"live &= ~{each.guard};" if each.guard else "live = 0;")
        elif each.opcode[:2] == ["st", "global"]:
            lines.append(f"got = select({here}, {each.operands[1]}, got);")
        elif each.opcode[:2] != ["ld", "param"] and not each.one_of("cvta"):
            target, *arguments = each.operands
            result = f"{'_'.join(each.opcode)}({', '.join(arguments)})"
            if each.opcode[:2] == ["ld", "global"]:
                result = "z"
            elif each.opcode == ["mov", "b32"]:
                result = f"bits<{TYPES[target[0]]}>({arguments[0]})"
            masked = f"{target} = select({here}, {result}, {target});"
            lines.append(masked if writes[target] > 1 else f"const auto {target} = {result};")
    return "\n".join(lines)


def _statements(ptx: str, kernel: str) -> list[Instruction | str]:
    """The instructions of a kernel, with operands in C++, and its labels."""
    body = ptx[ptx.index(f".entry {kernel}(") :]
    found: list[Instruction | str] = []
    for line in body[body.index("{") + 1 : body.index("\n}")].splitlines():
        text = line.partition("//")[0].strip().rstrip(";")
        if text and not text.startswith("."):
            text = re.sub(r"\b0f([0-9A-F]{8})", r"bits<float>(0x\1u)", text.replace("$", "")).replace("%", "")
            label, guard, opcode, operands = re.fullmatch(r"(\w+):|(?:@(!?\w+)\s+)?([\w.]+)\s*(.*)", text).groups()
            operands = re.split(r",\s*", operands) if operands else []
            found.append(label or Instruction((guard or "").replace("!", "~"), opcode.split("."), operands))
    return found


def _refuse_what_is_open(code: list[Instruction]) -> None:
    constants = {each.operands[0]: each.operands[1] for each in code if each.one_of("mov")}
    products = set()
    for each in code:
        target, *sources = each.operands or [""]
        if {"approx", "full"} & set(each.opcode):
            raise ValueError(f"how it rounds is the GPU's affair: {each}")
        if each.one_of("mul") and "rn" not in each.opcode:
            if not any(re.fullmatch(POWER_OF_2, constants.get(source, source)) for source in sources):
                products.add(target)
        elif each.one_of("neg", "mov") and products & set(sources):
            products.add(target)
        elif each.one_of("add", "sub") and "rn" not in each.opcode and products & set(sources):
            raise ValueError(f"may be fused with a product: {each}")
