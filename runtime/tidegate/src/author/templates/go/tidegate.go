// What the plugin leans on: the contract's shapes, and how they lie in memory (the canonical ABI, by hand: no generator
// of bindings for Go is needed). What the types mean is written in wit/deps/tidegate/tidegate.wit.
//
// Lists that a call brings are valid until it returns.
package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"sort"
	"unsafe"
)

// Scalar is the type of a field.
type Scalar uint8

const (
	Float Scalar = iota
	Integer
	Boolean
	Text
	Bytes
)

// Field is a named column.
type Field struct {
	Name   string
	Scalar Scalar
	Unit   string
}

// Column has the values of a field of one scalar, nulls too. Valid has a byte a row, 0 for a null; nil: there are none.
type Column struct {
	Scalar   Scalar
	Floats   []float64
	Integers []int64
	Booleans []byte
	Blobs    Blobs
	Valid    []byte
}

// Blobs are texts or bytes: row r is Data[Offsets[r]:Offsets[r+1]].
type Blobs struct {
	Offsets []uint32
	Data    []byte
}

// IsValid says whether a row has a value.
func (c *Column) IsValid(row int) bool { return c.Valid == nil || c.Valid[row] != 0 }

// Nulls sets the rows aside in which the column is null.
func (c *Column) Nulls(name string) (faults []Fault) {
	for row, valid := range c.Valid {
		if valid == 0 {
			faults = append(faults, Fault{row, name + " is null"})
		}
	}
	return faults
}

// Batch has rows in log order.
type Batch struct {
	Rows    int
	Times   []int64
	Slots   []uint32
	Columns []Column
}

// Fault is a row that is set aside.
type Fault struct {
	Row    int
	Reason string
}

// About says what the plugin is.
type About struct{ Name, Version, Summary, Params string }

// Plan says what crosses and what is made.
type Plan struct {
	Reads        []string
	Times, Slots bool
	Emits        []Field
}

// Issue is something wrong with parameters ("/above") or fields ("temp").
type Issue struct{ At, Message string }

// Plugin is what every plugin is.
type Plugin interface {
	Describe() About
	Configure(params string, fields []Field) (Plan, []Issue)
}

// ReadParams reads parameters that are numbers into their places.
func ReadParams(text string, places map[string]*float64) (issues []Issue) {
	var params map[string]any
	if err := json.Unmarshal([]byte(text), &params); err != nil {
		return []Issue{{"", "parameters are no JSON object: " + err.Error()}}
	}
	for name, value := range params {
		place, known := places[name]
		number, isNumber := value.(float64)
		switch {
		case !known:
			issues = append(issues, Issue{"/" + name, "there is no such parameter"})
		case !isNumber:
			issues = append(issues, Issue{"/" + name, "expected a number"})
		default:
			*place = number
		}
	}
	// A map has no order, and the same arguments give the same answer.
	sort.Slice(issues, func(i, j int) bool { return issues[i].At < issues[j].At })
	return issues
}

// WantField refuses an input without that field, or with another type of it.
func WantField(fields []Field, name string, scalar Scalar) []Issue {
	for _, field := range fields {
		if field.Name != name {
			continue
		}
		if field.Scalar != scalar {
			return []Issue{{name, "is of another type in the input"}}
		}
		return nil
	}
	return []Issue{{name, "the input has no such field"}}
}

// Slots has a state a slot. It is saved as its numbers, doubles, little-endian.
type Slots[T any] struct {
	Numbers func(*T) []*float64
	states  []*T
}

// At is a slot's state, new where it was never touched.
func (s *Slots[T]) At(slot uint32) *T {
	for int(slot) >= len(s.states) {
		s.states = append(s.states, nil)
	}
	if s.states[slot] == nil {
		s.states[slot] = new(T)
	}
	return s.states[slot]
}

// Save gives the bytes of slots.
func (s *Slots[T]) Save(slots []uint32) Blobs {
	blobs := Blobs{Offsets: []uint32{0}}
	for _, slot := range slots {
		if int(slot) < len(s.states) && s.states[slot] != nil {
			for _, number := range s.Numbers(s.states[slot]) {
				blobs.Data = binary.LittleEndian.AppendUint64(blobs.Data, math.Float64bits(*number))
			}
		}
		blobs.Offsets = append(blobs.Offsets, uint32(len(blobs.Data)))
	}
	return blobs
}

// Load replaces slots; the answer says why not.
func (s *Slots[T]) Load(version uint32, slots []uint32, states Blobs) string {
	if version != 1 {
		return "knows version 1 only"
	}
	s.Release(slots)
	for index, slot := range slots {
		state := states.Data[states.Offsets[index]:states.Offsets[index+1]]
		if len(state) == 0 {
			continue
		}
		numbers := s.Numbers(s.At(slot))
		if len(state) != 8*len(numbers) {
			return "a state is of another size"
		}
		for at, number := range numbers {
			*number = math.Float64frombits(binary.LittleEndian.Uint64(state[8*at:]))
		}
	}
	return ""
}

// Release forgets slots.
func (s *Slots[T]) Release(slots []uint32) {
	for _, slot := range slots {
		if int(slot) < len(s.states) {
			s.states[slot] = nil
		}
	}
}

// ---- How it lies in memory: addresses and lengths take 4 bytes, though Go's own take 8. -------------------------------

type list struct{ at, len uint32 }

type option struct {
	is   uint8
	some list
}

type rawField struct {
	name   list
	scalar uint8
	unit   list
}

type rawColumn struct {
	scalar  uint8
	values  list
	data    list
	isValid uint8
	valid   list
}

type rawFault struct {
	row    uint32
	reason list
}

// Room for what the gateway lays down: blocks that stay where they are, used anew when the answer has been read.
var (
	blocks   [][]uint64
	block    int
	used     uintptr
	answered []any
)

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	words := uintptr(size+7) / 8
	for ; block < len(blocks); block, used = block+1, 0 {
		if used+words <= uintptr(len(blocks[block])) {
			break
		}
	}
	if block == len(blocks) {
		blocks, used = append(blocks, make([]uint64, max(words, 8192))), 0
	}
	at := unsafe.Pointer(unsafe.SliceData(blocks[block][used:]))
	used += words
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(at), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return at
}

// forget is what every post-return does.
func forget() { block, used, answered = 0, 0, nil }

// given is a list that the gateway laid down.
func given[T any](from list) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(from.at))), from.len)
}

func text(from list) string { return string(given[byte](from)) }

// answer is a list for the gateway; it is kept until that has read it.
func answer[T any](items []T) list {
	if len(items) == 0 {
		return list{}
	}
	answered = append(answered, items)
	return list{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(items)))), uint32(len(items))}
}

func answerText(text string) list { return answer([]byte(text)) }

// answerWith keeps a whole answer.
func answerWith[T any](made T) unsafe.Pointer {
	kept := &made
	answered = append(answered, kept)
	return unsafe.Pointer(kept)
}

func mapped[T, U any](items []T, each func(T) U) list {
	made := make([]U, len(items))
	for at, item := range items {
		made[at] = each(item)
	}
	return answer(made)
}

func answerFaults(faults []Fault) list {
	return mapped(faults, func(fault Fault) rawFault { return rawFault{uint32(fault.Row), answerText(fault.Reason)} })
}

func answerColumns(columns []Column) list {
	return mapped(columns, func(column Column) rawColumn {
		raw := rawColumn{scalar: uint8(column.Scalar)}
		switch column.Scalar {
		case Float:
			raw.values = answer(column.Floats)
		case Integer:
			raw.values = answer(column.Integers)
		case Boolean:
			raw.values = answer(column.Booleans)
		default:
			raw.values, raw.data = answer(column.Blobs.Offsets), answer(column.Blobs.Data)
		}
		if column.Valid != nil {
			raw.isValid, raw.valid = 1, answer(column.Valid)
		}
		return raw
	})
}

func batchOf(rows, isTimes, times, timesLen, isSlots, slots, slotsLen, columns, columnsLen uint32) Batch {
	batch := Batch{Rows: int(rows)}
	if isTimes != 0 {
		batch.Times = given[int64](list{times, timesLen})
	}
	if isSlots != 0 {
		batch.Slots = given[uint32](list{slots, slotsLen})
	}
	for _, raw := range given[rawColumn](list{columns, columnsLen}) {
		column := Column{Scalar: Scalar(raw.scalar)}
		switch column.Scalar {
		case Float:
			column.Floats = given[float64](raw.values)
		case Integer:
			column.Integers = given[int64](raw.values)
		case Boolean:
			column.Booleans = given[byte](raw.values)
		default:
			column.Blobs = Blobs{given[uint32](raw.values), given[byte](raw.data)}
		}
		if raw.isValid != 0 {
			column.Valid = given[byte](raw.valid)
		}
		batch.Columns = append(batch.Columns, column)
	}
	return batch
}

// ---- The interface plugin ---------------------------------------------------------------------------------------------

//go:wasmexport tidegate:plugin/plugin@1.0.0#describe
func exportDescribe() unsafe.Pointer {
	about := plugin.Describe()
	texts := []string{about.Name, about.Version, about.Summary, about.Params}
	return unsafe.Pointer(uintptr(mapped(texts, answerText).at))
}

//go:wasmexport cabi_post_tidegate:plugin/plugin@1.0.0#describe
func postDescribe(unsafe.Pointer) { forget() }

type rawPlan struct {
	isError      uint8
	reads        list
	times, slots uint8
	emits        list
}

//go:wasmexport tidegate:plugin/plugin@1.0.0#configure
func exportConfigure(params, paramsLen, fields, fieldsLen uint32) unsafe.Pointer {
	var input []Field
	for _, raw := range given[rawField](list{fields, fieldsLen}) {
		input = append(input, Field{text(raw.name), Scalar(raw.scalar), text(raw.unit)})
	}
	plan, issues := plugin.Configure(text(list{params, paramsLen}), input)
	if len(issues) > 0 {
		refused := mapped(issues, func(issue Issue) [2]list { return [2]list{answerText(issue.At), answerText(issue.Message)} })
		return answerWith(rawPlan{isError: 1, reads: refused})
	}
	raw := rawPlan{reads: mapped(plan.Reads, answerText)}
	raw.emits = mapped(plan.Emits, func(field Field) rawField {
		return rawField{answerText(field.Name), uint8(field.Scalar), answerText(field.Unit)}
	})
	if plan.Times {
		raw.times = 1
	}
	if plan.Slots {
		raw.slots = 1
	}
	return answerWith(raw)
}

//go:wasmexport cabi_post_tidegate:plugin/plugin@1.0.0#configure
func postConfigure(unsafe.Pointer) { forget() }

func main() {}
