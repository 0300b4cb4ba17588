// Count, mean, least and greatest reading of a window. Begin with this and make it yours.
package main

import "math"

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const field = "temp"

var plugin Aggregate = &summary{Slots[seen]{Numbers: (*seen).numbers}}

// What is remembered of each window; the gateway keeps it over restarts.
type summary struct{ Slots[seen] }

type seen struct{ count, sum, least, greatest float64 }

func (s *seen) numbers() []*float64 { return []*float64{&s.count, &s.sum, &s.least, &s.greatest} }

func (*summary) Describe() About {
	return About{"@name@", "0.1.0", "What it does, in one line: gateways show it",
		`{"type":"object","properties":{},"required":[],"additionalProperties":false}`}
}

// What comes out of a window; the gateway adds its device, start and end.
func (*summary) Configure(params string, fields []Field) (Plan, []Issue) {
	issues := append(ReadParams(params, nil), WantField(fields, field, Float)...)
	emits := []Field{{"count", Integer, ""}, {"mean", Float, "Cel"}, {"least", Float, "Cel"}, {"greatest", Float, "Cel"}}
	return Plan{Reads: []string{field}, Slots: true, Emits: emits}, issues
}

// Takes in records. NaN is nothing.
func (s *summary) Update(batch Batch) []Fault {
	column := &batch.Columns[0]
	for row, temp := range column.Floats {
		if column.IsValid(row) && !math.IsNaN(temp) {
			s.At(batch.Slots[row]).takeIn(seen{1, temp, temp, temp})
		}
	}
	return column.Nulls(field)
}

// Takes in what was seen of later records.
func (s *summary) Merge(into, later uint32) {
	if more := *s.At(later); more.count > 0 {
		s.At(into).takeIn(more)
	}
}

func (s *seen) takeIn(more seen) {
	if s.count == 0 || more.least < s.least {
		s.least = more.least
	}
	if s.count == 0 || more.greatest > s.greatest {
		s.greatest = more.greatest
	}
	s.count = s.count + more.count
	s.sum = s.sum + more.sum
}

// The windows' results, with nulls where a window saw nothing.
func (s *summary) Finish(slots []uint32, starts, ends []int64) []Column {
	count := Column{Scalar: Integer}
	var mean, least, greatest Column
	valid := make([]byte, len(slots))
	for at, slot := range slots {
		window := s.At(slot)
		count.Integers = append(count.Integers, int64(window.count))
		mean.Floats = append(mean.Floats, window.sum/window.count)
		least.Floats = append(least.Floats, window.least)
		greatest.Floats = append(greatest.Floats, window.greatest)
		if window.count > 0 {
			valid[at] = 1
		}
	}
	mean.Valid, least.Valid, greatest.Valid = valid, valid, valid
	return []Column{count, mean, least, greatest}
}
