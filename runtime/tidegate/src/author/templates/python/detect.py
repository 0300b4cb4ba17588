"""Finds readings far from what their device told of late. Begin with this and make it yours."""

import math

import tidegate
from tidegate import Slots, nulls, read_params, schema, want_field
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.detect import Finding, Found
from wit_world.exports.plugin import About, Plan
from wit_world.imports.types import Scalar

# The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
FIELD = "temp"

# What the configuration may set.
PARAMS = {
    "threshold": {"type": "number", "default": 4.0, "description": "So many deviations from the recent mean are unusual"},
}
params = {}

# The weight of the newest reading, how many come before anything is unusual, the least deviation taken for real.
ALPHA = 0.1
WARMUP = 10.0
LEAST_DEVIATION = 0.001


class Recent:
    """What is remembered of each device; the gateway keeps it over restarts."""

    __slots__ = ("seen", "mean", "variance")

    def take_in(self, temp):
        """Exponentially weighted; the first readings weigh alike, so that the first of all does not linger."""
        first = 1.0 / (self.seen + 1.0)
        alpha = first if first > ALPHA else ALPHA
        delta = temp - self.mean
        step = alpha * delta
        self.mean = self.mean + step
        self.variance = (1.0 - alpha) * (self.variance + step * delta)
        self.seen = self.seen + 1.0


devices = Slots(Recent)


class State(tidegate.State):
    slots = devices


class Plugin(exports.Plugin):
    def describe(self):
        return About("@name@", "0.1.0", "What it does, in one line: gateways show it", schema(PARAMS))

    def configure(self, text, fields):
        issues = []
        params.update(read_params(text, PARAMS, issues))
        want_field(fields, FIELD, Scalar.FLOAT, issues)
        if issues:
            raise Err(issues)
        return Plan(reads=[FIELD], times=False, slots=True, emits=[])


class Detect(exports.Detect):
    def score(self, batch):
        [column] = batch.columns
        threshold, findings = params["threshold"], []
        for row, (temp, slot) in enumerate(zip(column.values.value, batch.slots)):
            if column.valid is None or column.valid[row]:
                found = look_at(temp, devices.at(slot), threshold)
                if found:
                    findings.append(Finding(row, *found))
        return Found(findings, None, nulls(column, FIELD))


def look_at(temp, recent, threshold):
    """Takes in a reading; gives what is unusual about it: a score, a severity (0 to 100), a reason."""
    if not math.isfinite(temp):
        return None
    spread = math.sqrt(recent.variance)
    deviation = spread if spread > LEAST_DEVIATION else LEAST_DEVIATION
    score = (temp - recent.mean) / deviation
    size = abs(score)
    if not (recent.seen >= WARMUP and size >= threshold):
        recent.take_in(temp)
        return None
    # Taken in as if it lay at the threshold: a spike blinds nobody, and a change that lasts is learned.
    recent.take_in(recent.mean + (threshold if score > 0.0 else -threshold) * deviation)
    side = "above" if score > 0.0 else "below"
    return score, 75 if size >= 2.0 * threshold else 50, f"{FIELD} is {side} what the device told of late"
