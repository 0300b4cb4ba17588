"""Keeps warm readings. Begin with this and make it yours."""

from tidegate import nulls, read_params, schema, want_field
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.filter import Kept
from wit_world.exports.plugin import About, Plan
from wit_world.imports.types import Scalar

# The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
FIELD = "temp"

# What the configuration may set.
PARAMS = {
    "above": {"type": "number", "default": 20.0, "description": "Readings above this are kept"},
    "below": {"type": "number", "description": "And below this, where it is given"},
}
params = {}


class Plugin(exports.Plugin):
    def describe(self):
        return About("@name@", "0.1.0", "What it does, in one line: gateways show it", schema(PARAMS))

    def configure(self, text, fields):
        issues = []
        params.update(read_params(text, PARAMS, issues))
        want_field(fields, FIELD, Scalar.FLOAT, issues)
        if issues:
            raise Err(issues)
        return Plan(reads=[FIELD], times=False, slots=False, emits=[])


class Filter(exports.Filter):
    def keep(self, batch):
        [column] = batch.columns
        above, below = params["above"], params["below"]
        temps = column.values.value
        if below is None:
            keep = bytes([temp > above for temp in temps])
        else:
            keep = bytes([above < temp < below for temp in temps])
        return Kept(keep, nulls(column, FIELD))
