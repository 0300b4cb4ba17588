// The interface aggregate, for the variable `plugin`.
package main

import "unsafe"

// Aggregate makes one result of a window's records.
type Aggregate interface {
	Plugin
	State
	Update(batch Batch) []Fault
	Merge(into, later uint32)
	Finish(slots []uint32, starts, ends []int64) []Column
}

//go:wasmexport tidegate:plugin/aggregate@1.0.0#update
func exportUpdate(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen uint32) unsafe.Pointer {
	batch := batchOf(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen)
	return answerWith(answerFaults(plugin.Update(batch)))
}

//go:wasmexport cabi_post_tidegate:plugin/aggregate@1.0.0#update
func postUpdate(unsafe.Pointer) { forget() }

//go:wasmexport tidegate:plugin/aggregate@1.0.0#merge
func exportMerge(into, intoLen, later, laterLen uint32) {
	others := given[uint32](list{later, laterLen})
	for at, slot := range given[uint32](list{into, intoLen}) {
		plugin.Merge(slot, others[at])
	}
	forget()
}

//go:wasmexport tidegate:plugin/aggregate@1.0.0#finish
func exportFinish(slots, slotsLen, starts, startsLen, ends, endsLen uint32) unsafe.Pointer {
	of := given[uint32](list{slots, slotsLen})
	columns := plugin.Finish(of, given[int64](list{starts, startsLen}), given[int64](list{ends, endsLen}))
	return answerWith(answerColumns(columns))
}

//go:wasmexport cabi_post_tidegate:plugin/aggregate@1.0.0#finish
func postFinish(unsafe.Pointer) { forget() }
