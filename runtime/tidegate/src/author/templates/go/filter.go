// Keeps warm readings. Begin with this and make it yours.
package main

import "math"

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const field = "temp"

var plugin Filter = &warm{}

// What the configuration may set.
type warm struct{ above, below float64 }

func (*warm) Describe() About {
	return About{"@name@", "0.1.0", "What it does, in one line: gateways show it", `{"type":"object","properties":{
		"above":{"type":"number","default":20.0,"description":"Readings above this are kept"},
		"below":{"type":"number","description":"And below this, where it is given"}},
		"required":[],"additionalProperties":false}`}
}

func (w *warm) Configure(params string, fields []Field) (Plan, []Issue) {
	w.above, w.below = 20, math.NaN()
	issues := ReadParams(params, map[string]*float64{"above": &w.above, "below": &w.below})
	issues = append(issues, WantField(fields, field, Float)...)
	return Plan{Reads: []string{field}}, issues
}

// A limit that is not given is NaN, which nothing is below of or not.
func (w *warm) Keep(batch Batch) ([]byte, []Fault) {
	column := &batch.Columns[0]
	keep := make([]byte, batch.Rows)
	for row, temp := range column.Floats {
		if temp > w.above && !(temp >= w.below) {
			keep[row] = 1
		}
	}
	return keep, column.Nulls(field)
}
