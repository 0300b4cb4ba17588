// The interface filter, for the variable `plugin`.
package main

import "unsafe"

// Filter keeps or drops records: a byte a row, 0 = drop, 1 = keep.
type Filter interface {
	Plugin
	Keep(batch Batch) (keep []byte, faults []Fault)
}

//go:wasmexport tidegate:plugin/filter@1.0.0#keep
func exportKeep(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen uint32) unsafe.Pointer {
	batch := batchOf(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen)
	keep, faults := plugin.Keep(batch)
	return answerWith([2]list{answer(keep), answerFaults(faults)})
}

//go:wasmexport cabi_post_tidegate:plugin/filter@1.0.0#keep
func postKeep(unsafe.Pointer) { forget() }
