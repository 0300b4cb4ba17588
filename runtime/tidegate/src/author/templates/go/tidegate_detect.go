// The interface detect, for the variable `plugin`.
package main

import "unsafe"

// Detect finds what is unusual. Scores, one a row, may be nil.
type Detect interface {
	Plugin
	State
	Score(batch Batch) (findings []Finding, scores []float64, faults []Fault)
}

// Finding is an unusual row: how much so, 0 to 100, and why.
type Finding struct {
	Row      int
	Score    float64
	Severity uint8
	Reason   string
}

type rawFinding struct {
	row      uint32
	score    float64
	severity uint8
	reason   list
}

type rawFound struct {
	findings list
	scores   option
	faults   list
}

//go:wasmexport tidegate:plugin/detect@1.0.0#score
func exportScore(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen uint32) unsafe.Pointer {
	batch := batchOf(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen)
	findings, scores, faults := plugin.Score(batch)
	found := rawFound{faults: answerFaults(faults)}
	found.findings = mapped(findings, func(finding Finding) rawFinding {
		return rawFinding{uint32(finding.Row), finding.Score, finding.Severity, answerText(finding.Reason)}
	})
	if scores != nil {
		found.scores = option{1, answer(scores)}
	}
	return answerWith(found)
}

//go:wasmexport cabi_post_tidegate:plugin/detect@1.0.0#score
func postScore(unsafe.Pointer) { forget() }
