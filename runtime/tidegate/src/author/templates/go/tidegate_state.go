// The interface state, for the variable `plugin`.
package main

import "unsafe"

// State is kept a slot; Slots has all of it. Load says why it does not take something.
type State interface {
	Save(slots []uint32) Blobs
	Load(version uint32, slots []uint32, states Blobs) string
	Release(slots []uint32)
}

//go:wasmexport tidegate:plugin/state@1.0.0#version
func exportVersion() uint32 { return 1 }

//go:wasmexport tidegate:plugin/state@1.0.0#save
func exportSave(slots, slotsLen uint32) unsafe.Pointer {
	blobs := plugin.Save(given[uint32](list{slots, slotsLen}))
	return answerWith([2]list{answer(blobs.Offsets), answer(blobs.Data)})
}

//go:wasmexport cabi_post_tidegate:plugin/state@1.0.0#save
func postSave(unsafe.Pointer) { forget() }

//go:wasmexport tidegate:plugin/state@1.0.0#load
func exportLoad(version, slots, slotsLen, offsets, offsetsLen, data, dataLen uint32) unsafe.Pointer {
	states := Blobs{given[uint32](list{offsets, offsetsLen}), given[byte](list{data, dataLen})}
	refused := plugin.Load(version, given[uint32](list{slots, slotsLen}), states)
	if refused != "" {
		return answerWith(option{1, answerText(refused)})
	}
	return answerWith(option{})
}

//go:wasmexport cabi_post_tidegate:plugin/state@1.0.0#load
func postLoad(unsafe.Pointer) { forget() }

//go:wasmexport tidegate:plugin/state@1.0.0#release
func exportRelease(slots, slotsLen uint32) {
	plugin.Release(given[uint32](list{slots, slotsLen}))
	forget()
}
