"""What the study found: study.json and study.md; the figures that it names are the command line's to draw."""

import json
import statistics
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import combinations
from typing import Any

from ..files import replacing
from ..nn.network import parameter_count
from . import naive
from .rows import BEST, Row, Table
from .running import ANGLES, Place, result

Results = dict[str, dict[str, Any]]  # by model, as `running.result` makes them
AGAINST_SECONDS = ("Deeper_relu_512_256_128_he", "Momentum_0.9", BEST)
CONFUSION = ("Perceptron_sigmoid", "Perceptron_softmax", BEST)


def parameters(row: Row, classes: int) -> int:
    """How many parameters a row's network has."""
    return parameter_count((784, *row.config.hidden, classes))


def line(found: dict[str, Any]) -> str:
    """One row for the terminal."""
    name, seconds = found["model"], f"{found['iterations']} iterations, {found['seconds']:.0f} s"
    if found["measured_test"] is None:
        return f"{name:34} diverged in iteration {found['diverged']}   {seconds}"
    published = found["published_test"]
    beside = f"published {published:.2f}  {found['measured_test'] - published:+.2f}" if published else " " * 23
    return f"{name:34} test {found['measured_test']:.2f}   {beside}   {seconds}"


@dataclass
class Findings:
    """What is known so far. results: of the rows that are done. failures: of the naive network, by its start.

    angles: the test accuracy with multi-angle prediction and without. class_weight, seeds, quick: the options.
    """

    place: Place
    tables: list[Table]
    class_weight: str
    seeds: int
    quick: bool
    results: Results = field(default_factory=dict)
    failures: dict[str, naive.Outcome] = field(default_factory=dict)
    angles: dict[str, float] | None = None

    def add(self, row: Row, summary: dict[str, Any]) -> dict[str, Any]:
        """The result of a row that is done. It is kept in the tables' order, under the first that has the row."""
        home: dict[str, str] = {}
        for table in self.tables:
            for each in table.rows:
                home.setdefault(each.model, table.name)
        count = parameters(row, len(self.place.letters.classes))
        self.results[row.model] = result(row, home[row.model], summary, count)
        self.results = {model: self.results[model] for model in home if model in self.results}
        return self.results[row.model]


def write(findings: Findings) -> None:
    """study.json and study.md."""
    place = findings.place
    rows = [_naive_result(start, outcome) for start, outcome in findings.failures.items()]
    rows += findings.results.values()
    with replacing(place.folder / "study.json") as partial:
        partial.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    with replacing(place.folder / "study.md") as partial:
        partial.write_text("\n".join(_markdown(findings)) + "\n", encoding="utf-8")


def _naive_result(start: str, outcome: naive.Outcome) -> dict[str, Any]:
    empty = dict.fromkeys(("published_test", "measured_test", "measured_validation", "seconds"))
    return {
        "model": start,
        "table": "deeper",
        "parameters": outcome.parameters,
        **empty,
        "measured_train": 100 * outcome.accuracy,
        "iterations": len(outcome.losses),
        "losses": [loss if loss == loss and abs(loss) != float("inf") else str(loss) for loss in outcome.losses],
        "broken_at": outcome.broken_at,
    }


def by_activation(results: Results) -> dict[str, list[float]]:
    """Test accuracies of the comparison with error bars, by activation."""
    scores: dict[str, list[float]] = {}
    for model, found in results.items():
        if model.startswith("Activation_") and found["measured_test"] is not None:
            scores.setdefault(model.split("_seed_")[0].removeprefix("Activation_"), []).append(found["measured_test"])
    return scores


def _noise(results: Results) -> float | None:
    """The standard deviation of test accuracy over seeds, pooled over the activations; None with fewer than 2 seeds."""
    spreads = [statistics.variance(scores) for scores in by_activation(results).values() if len(scores) > 1]
    return statistics.mean(spreads) ** 0.5 if spreads else None


def _markdown(findings: Findings) -> list[str]:
    place, results, failures, angles = findings.place, findings.results, findings.failures, findings.angles
    noise = _noise(results)
    lines = ["# The report's tables, run again", ""]
    if findings.quick:
        lines += ["**Quick: on a tenth of the training letters. Not comparable with what was published.**", ""]
    letters = place.letters.description.replace(f" from {place.letters.source}", "")  # the tables may travel
    lines += [
        f"{letters[0].upper()}{letters[1:]}; {len(place.letters.train):,} letters to train and validate on, "
        f"{len(place.letters.test):,} to test on. "
        f"`lettergpu study --class-weight {findings.class_weight} --seeds {findings.seeds}`, "
        f"{place.device.name}, lettergpu {version('lettergpu')}. Accuracies in percent, differences in points."
    ]
    lines += ["", *_summary(findings.tables, results), ""]
    for table in findings.tables:
        done = [results[row.model] for row in table.rows if row.model in results]
        if not done and not (table.name == "deeper" and failures):
            continue
        lines += [f"## {table.title}", "", table.text, ""]
        if table.name == "deeper" and failures:
            lines += _failures(failures)
        lines += _table(table, done, results, noise)
        if table.name == "activations" and (scores := by_activation(results)):
            lines += ["", "| activation | mean test | standard deviation | seeds |", "|---|---|---|---|"]
            for name, values in scores.items():
                spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else ""
                lines.append(f"| {name} | {statistics.mean(values):.2f} | {spread} | {len(values)} |")
            lines += ["", "![error bars](figures/seeds.png)"]
        if done:
            lines += ["", f"![loss curves](figures/loss-{table.name}.png)", ""]
    if angles:
        gain = 100 * (angles["averaged"] - angles["upright"])
        turned = ", ".join(f"{angle:g}" for angle in ANGLES)
        lines += [
            "## Multi-angle prediction",
            "",
            f"{BEST}, probabilities averaged over copies turned by {turned} "
            f"degrees: {100 * angles['averaged']:.2f} instead of {100 * angles['upright']:.2f}. "
            f"Verdict: {_verdict(gain, noise)}.",
            "",
        ]
    if BEST in results and results[BEST]["measured_test"] is not None:
        best = results[BEST]
        lines += [
            "## Evaluation of the report's best run",
            "",
            f"top-1 {best['measured_test']:.2f}, top-2 {best['measured_top2']:.2f}, top-5 {best['measured_top5']:.2f} "
            "(published: 91.25, 97.63, 99.25). Misclassified letters: misclassified.png in its run folder.",
            "",
            f"![confusion matrix](figures/confusion-{BEST}.png)",
            "",
        ]
    lines += ["## Figures", "", "![activations and their derivatives](figures/activations.png)"]
    if sum(name in results for name in AGAINST_SECONDS) > 1:
        lines += ["", "Full batch and mini-batches:", "", "![loss against seconds](figures/batch.png)"]
    return lines


def _failures(failures: dict[str, naive.Outcome]) -> list[str]:
    lines = [
        "| 30 steps, rate 0.5 | highest logit at first | norm of the first gradient | loss: first, last | accuracy |",
        "|---|---|---|---|---|",
    ]
    for start, found in failures.items():
        lines.append(
            f"| {naive.STARTS[start]} | {found.highest_logit:.3g} | {found.gradient:.3g} "
            f"| {found.losses[0]:.3g}, {found.losses[-1]:.3g} | {100 * found.accuracy:.1f} |"
        )
    return [
        *lines,
        "",
        *(f"- {naive.STARTS[start]}: {naive.VERDICTS[start]}" for start in failures),
        "",
    ]


def _table(table: Table, done: list[dict[str, Any]], results: Results, noise: float | None) -> list[str]:
    compared = results.get(table.compared_with or "")
    title = "| model | parameters | published test | measured test | difference | validation | training "
    title += "| iterations | seconds |"
    if not done:
        return []
    lines = [title + (" verdict |" if compared else ""), "|---" * (9 + bool(compared)) + "|"]
    for found in done:
        measured, published = found["measured_test"], found["published_test"]
        cells = [found["model"], f"{found['parameters']:,}", f"{published:.2f}" if published else ""]
        if measured is None:
            cells += [f"diverged in iteration {found['diverged']}", "", "", ""]
        else:
            cells += [f"{measured:.2f}", f"{measured - published:+.2f}" if published else ""]
            cells += [f"{found['measured_validation']:.2f}", f"{found['measured_train']:.2f}"]
        cells += [str(found["iterations"]), f"{found['seconds']:.0f}"]
        if compared:
            same = found is compared or measured is None or compared["measured_test"] is None
            cells.append("" if same else _verdict(measured - compared["measured_test"], noise))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _verdict(gain: float, noise: float | None) -> str:
    """In words; a difference of two runs is real from twice the standard deviation of such a difference on."""
    said = f"{gain:+.2f}"
    if noise is None:
        return said
    if abs(gain) < 2 * 2**0.5 * noise:
        return f"{said}, within what another seed changes (±{2 * 2**0.5 * noise:.2f})"
    return f"{said}, {'better' if gain > 0 else 'worse'} than seeds explain"


def _summary(every: list[Table], results: Results) -> list[str]:
    """How close the published full-batch rows were met, and where activations stand in another order."""
    full = [
        results[row.model]
        for table in every
        for row in table.rows
        if row.config.batch_size == 0 and "test" in row.published and row.model in results
    ]
    full = [found for found in full if found["measured_test"] is not None]
    if not full:
        return []
    off = {found["model"]: found["measured_test"] - found["published_test"] for found in full}
    within = [name for name, gap in off.items() if abs(gap) <= 1]
    lines = [
        f"Of {len(off)} full-batch rows {len(within)} are within 1 point of the published test accuracy; the mean "
        f"absolute difference is {statistics.mean(map(abs, off.values())):.2f} points."
    ]
    lines += ["", *(f"- {name}: {gap:+.2f}" for name, gap in off.items() if name not in within)]
    groups: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for found in full:
        groups.setdefault(tuple(found["settings"]["hidden"]), []).append(found)
    for group in groups.values():
        for a, b in combinations(group, 2):
            gap = a["published_test"] - b["published_test"]
            if abs(gap) > 0.5 and gap * (a["measured_test"] - b["measured_test"]) <= 0:
                lines.append(
                    f"- {a['model']} and {b['model']} stand in the other order: published {gap:+.2f}, "
                    f"measured {a['measured_test'] - b['measured_test']:+.2f}."
                )
    return lines if len(lines) > 2 else lines[:1]
