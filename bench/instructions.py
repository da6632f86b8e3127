"""What a request costs in instructions: ``python -m bench.instructions`` (needs valgrind).

The hot paths first: each done many times, what one time costs, and which of our functions spend it.
With ``--broker`` a whole broker under a load from outside, and which share is ours, libzmq's and the
rest's.  ``--write FILE`` keeps the hot paths' figures; ``--check FILE`` compares with kept ones,
names what grew, and exits 1 when they cost more than the margin allows.  The counts depend on the
compiler, so figures are kept for each, and without figures there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from brigantine.load import Generator, Plan

from . import callgrind
from .processes import Contender

#: How often each path is done.
TIMES = 2000
WORKERS = 64
BODY = b"x" * 64
#: The functions that do a path so many times, for callgrind and for us.
RUNS = "__pyx_pw_*Rounds_*run(*"
RUN = re.compile(r"__pyx_pw_\w*\d([A-Z][A-Za-z]*)Rounds_\d+run\(")
#: Where our own functions are, and libzmq's.
OURS, LIBZMQ = "/brigantine/core/", "libzmq"
#: By how much the whole may cost more than it did, and by how much a function must, to be named.
MARGIN, NAMED = 0.03, 1.0
#: Requests in the two runs of a whole broker; only the difference counts.
FEW, MANY = 500, 4500
#: Seconds that one of them may take: valgrind is slow.
PATIENCE = 300.0


def do_paths() -> None:
    """The workload, in a process of its own."""
    from brigantine.core import _bench as rounds

    for each in (
        rounds.EnvelopeRounds([b"\0abcd", b"", BODY]),
        rounds.LRURounds(1000),
        rounds.ExpiryRounds(10_000, 0.0),
        rounds.SwitchboardRounds(WORKERS, BODY),
    ):
        each.run(TIMES)


def measure() -> tuple[dict[str, float], dict[str, float]]:
    """Instructions for each time: by path, with all they call; and by function of ours, alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        program = [sys.executable, "-m", "bench.instructions", "--paths"]
        subprocess.run(
            callgrind.command(program, out, RUNS), check=True, env=callgrind.environment()
        )
        counts = callgrind.read(out)
    paths = {
        match[1].lower(): spent / TIMES
        for function, spent in counts.inclusive.items()
        if (match := RUN.match(function))
    }
    ours = {
        short(function): spent / TIMES
        for (library, function), spent in counts.own.most_common()
        if OURS in library
    }
    return paths, ours


def whole_broker() -> None:
    """Print what a request and its reply cost a broker, and in whose code."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (broker_run(requests, Path(folder) / "counts") for requests in (FEW, MANY))
    print("\n| a broker over tcp, a request | instructions | share |\n|---|--:|--:|")
    each = {name: (many[name] - few[name]) / (MANY - FEW) for name in many}
    for name, spent in each.items():
        print(f"| {name} | {spent:,.0f} | {spent / sum(each.values()):.0%} |")


def broker_run(requests: int, out: Path) -> dict[str, int]:
    """Instructions of a broker's whole life, by who wrote them; without those in the kernel."""
    with Contender("core", callgrind.command([], out)) as broker:
        plan = Plan(
            pattern="lru", frontend=broker.frontend, backend=broker.backend,
            clients=WORKERS, workers=WORKERS, size=len(BODY),
            timeout=PATIENCE, connect_timeout=PATIENCE,
        )  # fmt: skip
        with Generator(plan) as load:
            load.run(requests)
    spent = dict.fromkeys(("ours", "libzmq", "the rest"), 0)
    for (library, _), count in callgrind.read(out).own.items():
        whose = "ours" if OURS in library else "libzmq" if LIBZMQ in library else "the rest"
        spent[whose] += count
    return spent


def short(function: str) -> str:
    """A name that does not change with arguments and with the numbers that Cython adds."""
    return re.sub(r"[<(].*", "", function)


def toolchain() -> str:
    """What the counts depend on: architecture, compiler and Python."""
    compiler = (sysconfig.get_config_var("CXX") or "c++").split()[0]
    try:
        made = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True)
        version = made.stdout.strip()
    except OSError:
        version = "unknown"
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{platform.machine()}, {Path(compiler).name} {version}, Python {python}"


def check(kept: dict[str, float], now: dict[str, float]) -> bool:
    """Whether the whole costs no more than the margin allows; says what grew and what shrank."""
    before, after = sum(kept.values()), sum(now.values())
    print(f"instructions of ours, all paths once: {before:,.0f} kept, {after:,.0f} now "
          f"({after / before - 1:+.1%}, {MARGIN:.0%} allowed)")  # fmt: skip
    changed = {name: now.get(name, 0) - kept.get(name, 0) for name in {*kept, *now}}
    for name, by in sorted(changed.items(), key=lambda each: -each[1]):
        if abs(by) >= NAMED:
            print(f"  {by:+10,.1f}  {name}")
    return after <= before * (1 + MARGIN)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--paths", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--broker", action="store_true", help="a whole broker, too")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the figures")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with kept figures")
    options = parser.parse_args()
    if options.paths:
        do_paths()
        return 0
    if not callgrind.available():
        print("valgrind is not installed: nothing was counted")
        return 0
    paths, ours = measure()
    print("| path | instructions |\n|---|--:|")
    for path, spent in paths.items():
        print(f"| {path} | {spent:,.0f} |")
    if options.broker:
        whole_broker()
    known = (
        json.loads(options.write.read_text()) if options.write and options.write.exists() else {}
    )
    if options.write:
        known[toolchain()] = {name: round(spent, 1) for name, spent in ours.items() if spent >= 0.1}
        options.write.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    if options.check:
        kept = json.loads(options.check.read_text()).get(toolchain())
        if kept is None:
            print(f"no figures are kept for {toolchain()}: nothing to compare with")
            return 0
        return 0 if check(kept, ours) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
