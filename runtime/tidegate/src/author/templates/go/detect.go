// Finds readings far from what their device told of late. Begin with this and make it yours.
package main

import "math"

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
const field = "temp"

// The weight of the newest reading, how many come before anything is unusual, the least deviation taken for real.
const (
	alpha          = 0.1
	warmup         = 10.0
	leastDeviation = 0.001
)

var plugin Detect = &unusual{Slots: Slots[recent]{Numbers: (*recent).numbers}}

// What the configuration may set, and what is remembered of each device; the gateway keeps it over restarts.
type unusual struct {
	threshold float64
	Slots[recent]
}

type recent struct{ seen, mean, variance float64 }

func (r *recent) numbers() []*float64 { return []*float64{&r.seen, &r.mean, &r.variance} }

func (*unusual) Describe() About {
	return About{"@name@", "0.1.0", "What it does, in one line: gateways show it", `{"type":"object","properties":{
		"threshold":{"type":"number","default":4.0,"description":"So many deviations from the recent mean are unusual"}},
		"required":[],"additionalProperties":false}`}
}

func (u *unusual) Configure(params string, fields []Field) (Plan, []Issue) {
	u.threshold = 4
	issues := ReadParams(params, map[string]*float64{"threshold": &u.threshold})
	issues = append(issues, WantField(fields, field, Float)...)
	return Plan{Reads: []string{field}, Slots: true}, issues
}

func (u *unusual) Score(batch Batch) (findings []Finding, scores []float64, faults []Fault) {
	column := &batch.Columns[0]
	for row, temp := range column.Floats {
		if !column.IsValid(row) || math.IsNaN(temp) || math.IsInf(temp, 0) {
			continue
		}
		recent := u.At(batch.Slots[row])
		spread := math.Sqrt(recent.variance)
		deviation := leastDeviation
		if spread > leastDeviation {
			deviation = spread
		}
		score := (temp - recent.mean) / deviation
		if !(recent.seen >= warmup && math.Abs(score) >= u.threshold) {
			recent.takeIn(temp)
			continue
		}
		limit, severity, reason := -u.threshold, uint8(50), field+" is below what the device told of late"
		if score > 0 {
			limit, reason = u.threshold, field+" is above what the device told of late"
		}
		if math.Abs(score) >= 2*u.threshold {
			severity = 75
		}
		findings = append(findings, Finding{row, score, severity, reason})
		// Taken in as if it lay at the threshold: a spike blinds nobody, and a change that lasts is learned.
		recent.takeIn(recent.mean + float64(limit*deviation))
	}
	return findings, nil, column.Nulls(field)
}

// Exponentially weighted; the first readings weigh alike, so that the first of all does not linger. float64 rounds each
// product, which Go may fuse with a sum on other machines than WebAssembly.
func (r *recent) takeIn(temp float64) {
	weight := max(1/(r.seen+1), alpha)
	delta := temp - r.mean
	step := float64(weight * delta)
	r.mean = r.mean + step
	r.variance = (1 - weight) * (r.variance + float64(step*delta))
	r.seen = r.seen + 1
}
