"""Count, mean, least and greatest reading of a window. Begin with this and make it yours."""

import tidegate
from tidegate import Slots, nulls, read_params, schema, want_field
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.plugin import About, Plan
from wit_world.imports.types import Column, Field, Scalar, Values_Floats, Values_Integers

# The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
FIELD = "temp"

# What comes out of a window; the gateway adds its device, start and end.
EMITS = [
    Field("count", Scalar.INTEGER, ""),
    Field("mean", Scalar.FLOAT, "Cel"),
    Field("least", Scalar.FLOAT, "Cel"),
    Field("greatest", Scalar.FLOAT, "Cel"),
]


class Seen:
    """What is remembered of each window; the gateway keeps it over restarts."""

    __slots__ = ("count", "sum", "least", "greatest")

    def take_in(self, count, sum, least, greatest):
        if self.count == 0.0 or least < self.least:
            self.least = least
        if self.count == 0.0 or greatest > self.greatest:
            self.greatest = greatest
        self.count = self.count + count
        self.sum = self.sum + sum


windows = Slots(Seen)


class State(tidegate.State):
    slots = windows


class Plugin(exports.Plugin):
    def describe(self):
        return About("@name@", "0.1.0", "What it does, in one line: gateways show it", schema({}))

    def configure(self, text, fields):
        issues = []
        read_params(text, {}, issues)
        want_field(fields, FIELD, Scalar.FLOAT, issues)
        if issues:
            raise Err(issues)
        return Plan(reads=[FIELD], times=False, slots=True, emits=EMITS)


class Aggregate(exports.Aggregate):
    def update(self, batch):
        """Takes in records. NaN is nothing."""
        [column] = batch.columns
        for row, (temp, slot) in enumerate(zip(column.values.value, batch.slots)):
            if (column.valid is None or column.valid[row]) and temp == temp:
                windows.at(slot).take_in(1.0, temp, temp, temp)
        return nulls(column, FIELD)

    def merge(self, into, later):
        """Takes in what was seen of later records."""
        for slot, other in zip(into, later):
            more = windows.at(other)
            if more.count > 0.0:
                windows.at(slot).take_in(more.count, more.sum, more.least, more.greatest)

    def finish(self, asked):
        """The windows' results, with nulls where a window saw nothing."""
        seen = [windows.at(slot) for slot in asked.slots]
        valid = bytes([one.count > 0.0 for one in seen])

        def floats(values):
            return Column(Values_Floats(values), valid)

        return [
            Column(Values_Integers([int(one.count) for one in seen]), None),
            floats([one.sum / one.count if one.count > 0.0 else 0.0 for one in seen]),
            floats([one.least for one in seen]),
            floats([one.greatest for one in seen]),
        ]
