"""What the plugin leans on: parameters, fields, rows set aside, state. No more than that: what the gateway calls is written
in wit/deps/tidegate/tidegate.wit, and plugin.py has a class for each of its interfaces."""

import json
import struct

from wit_world.exports.plugin import Issue
from wit_world.imports.types import Blobs, Fault
from componentize_py_types import Err


def read_params(text, properties, issues):
    """Reads parameters, all of them numbers, by the properties of their JSON Schema. What is not given is its default, or
    None."""
    params = {name: told.get("default") for name, told in properties.items()}
    for name, value in json.loads(text).items():
        if name not in properties:
            issues.append(Issue(f"/{name}", "there is no such parameter"))
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            issues.append(Issue(f"/{name}", "expected a number"))
        else:
            params[name] = float(value)
    return params


def schema(properties):
    """The JSON Schema of parameters none of which must be given."""
    return json.dumps({"type": "object", "properties": properties, "required": [], "additionalProperties": False})


def want_field(fields, name, scalar, issues):
    """Refuses an input without that field, or with another type of it."""
    field = next((field for field in fields if field.name == name), None)
    if field is None:
        issues.append(Issue(name, "the input has no such field"))
    elif field.scalar != scalar:
        issues.append(Issue(name, "is of another type in the input"))


def nulls(column, name):
    """Rows in which a column is null, set aside."""
    if column.valid is None:
        return []
    return [Fault(row, f"{name} is null") for row, valid in enumerate(column.valid) if not valid]


class Slots:
    """State: an object of `make` a slot, with numbers in its `__slots__`, all 0 where a slot was never touched. It is saved
    as doubles in that order, little-endian."""

    def __init__(self, make):
        self.make = make
        self.names = make.__slots__
        self.layout = struct.Struct(f"<{len(self.names)}d")
        self.touched = {}

    def at(self, slot):
        """A slot's object."""
        state = self.touched.get(slot)
        if state is None:
            state = self.touched[slot] = self.make()
            for name in self.names:
                setattr(state, name, 0.0)
        return state


class State:
    """The interface `state` of the contract; a class of the plugin derives from it and names its `slots`."""

    slots: Slots

    def version(self):
        return 1

    def save(self, slots):
        offsets, data = [0], bytearray()
        for slot in slots:
            state = self.slots.touched.get(slot)
            if state is not None:
                data += self.slots.layout.pack(*(getattr(state, name) for name in self.slots.names))
            offsets.append(len(data))
        return Blobs(offsets, bytes(data))

    def load(self, version, slots, states):
        if version != 1:
            raise Err("knows version 1 only")
        self.release(slots)
        for index, slot in enumerate(slots):
            state = states.data[states.offsets[index] : states.offsets[index + 1]]
            if state and len(state) != self.slots.layout.size:
                raise Err("a state is of another size")
            if state:
                for name, value in zip(self.slots.names, self.slots.layout.unpack(state)):
                    setattr(self.slots.at(slot), name, value)

    def release(self, slots):
        for slot in slots:
            self.slots.touched.pop(slot, None)
