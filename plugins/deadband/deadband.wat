;; deadband: a filter that drops the records whose value lies within a band around the last value kept of the same
;; device: what a gauge repeats is not worth sending. Written in WebAssembly text, to show what a plugin is underneath:
;; no SDK, no toolchain; the gateway loads this file as it is.
;;
;; Parameters: {"band":0.5} keeps a value that differs by more than 0.5; the band is a plain decimal such as 2 or 0.25.
;; The first value of a device is kept, nulls and NaN never are. The field is the first f64 field of the input.
;;
;; All state is per slot, and the host says which slot a row belongs to: here a slot is a device.
(component
  ;; The contract's shared types. Every component imports them; they are no functions, so nothing has to be granted.
  (import "tidegate:plugin/types@1.0.0" (instance $types
    (type $scalar' (enum "float" "integer" "boolean" "text" "bytes"))
    (export "scalar" (type $scalar (eq $scalar')))
    (type $field' (record (field "name" string) (field "scalar" $scalar) (field "unit" string)))
    (export "field" (type $field (eq $field')))
    (type $blobs' (record (field "offsets" (list u32)) (field "data" (list u8))))
    (export "blobs" (type $blobs (eq $blobs')))
    (type $values' (variant (case "floats" (list f64)) (case "integers" (list s64)) (case "booleans" (list u8))
      (case "texts" $blobs) (case "bytes" $blobs)))
    (export "values" (type $values (eq $values')))
    (type $column' (record (field "values" $values) (field "valid" (option (list u8)))))
    (export "column" (type $column (eq $column')))
    (type $batch' (record (field "rows" u32) (field "times" (option (list s64))) (field "slots" (option (list u32)))
      (field "columns" (list $column))))
    (export "batch" (type $batch (eq $batch')))
    (type $fault' (record (field "row" u32) (field "reason" string)))
    (export "fault" (type $fault (eq $fault')))))
  (alias export $types "field" (type $field))
  (alias export $types "blobs" (type $blobs))
  (alias export $types "batch" (type $batch))
  (alias export $types "fault" (type $fault))

  (core module $code
    ;; One page of texts and answers, then whatever the host lays down for a call.
    (memory $main (export "memory") 2)
    (global $heap i32 (i32.const 65536))
    (global $free (mut i32) (i32.const 65536))
    (global $band (mut f64) (f64.const 0))
    ;; A memory of its own for the slots, 16 bytes each: the last value kept at 0, whether there is one at 8.
    (memory $slots 0)

    ;; Texts, and the answers made of them. A text or list is its address and its length.
    (data (i32.const 0) "deadband")
    (data (i32.const 16) "1.0.0")
    (data (i32.const 32) "Drops records whose value lies within a band around the last one kept of the device")
    (data (i32.const 128) "{\"type\":\"object\",\"properties\":{\"band\":{\"type\":\"number\",\"exclusiveMinimum\":0,"
      "\"description\":\"Values closer than this to the last one kept are dropped\"}}"
      ",\"required\":[\"band\"],\"additionalProperties\":false}")
    (data (i32.const 384) "/band")
    (data (i32.const 400) "must be given alone, as a plain decimal above 0")
    (data (i32.const 464) "the input has no f64 field")
    (data (i32.const 496) "{\"band\":")
    (data (i32.const 704) "knows version 1 only")
    (data (i32.const 736) "a state has 8 bytes")
    ;; about = name, version, summary, params.
    (data (i32.const 512)
      "\00\00\00\00\08\00\00\00" "\10\00\00\00\05\00\00\00" "\20\00\00\00\53\00\00\00" "\80\00\00\00\c8\00\00\00")
    ;; One issue = at, message. The first concerns the band, the second the fields.
    (data (i32.const 544) "\80\01\00\00\05\00\00\00" "\90\01\00\00\2f\00\00\00")
    (data (i32.const 560) "\80\01\00\00\00\00\00\00" "\d0\01\00\00\1a\00\00\00")

    ;; Room for what the host hands over: one after another, all forgotten when the call is over.
    (func $realloc (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
      (result i32) (local $at i32) (local $end i32) (local $missing i32)
      ;; Rounded up to the alignment, which is a power of two.
      (local.set $at (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (local.set $end (i32.add (local.get $at) (local.get $size)))
      (local.set $missing (i32.sub
        (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)) (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
      (global.set $free (local.get $end))
      (local.get $at))

    (func (export "describe") (result i32) (i32.const 512))

    ;; Reads the number of {"band":number}, which is how the host writes parameters; anything else gives 0.
    (func $read_band (param $at i32) (param $len i32) (result f64)
      (local $end i32) (local $byte i32) (local $number f64) (local $place f64) (local $digits i32)
      (if (i32.lt_u (local.get $len) (i32.const 10)) (then (return (f64.const 0))))
      (if (i64.ne (i64.load (local.get $at)) (i64.load (i32.const 496))) (then (return (f64.const 0))))
      (local.set $end (i32.add (local.get $at) (local.get $len)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (block $done (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        ;; Spaces before the number.
        (br_if $next (i32.and (i32.eqz (local.get $digits)) (i32.eq (local.get $byte) (i32.const 32))))
        (br_if $done (i32.or (i32.eq (local.get $byte) (i32.const 125)) (i32.eq (local.get $byte) (i32.const 32))))
        ;; The point: from here on digits are worth a tenth each.
        (if (i32.and (i32.eq (local.get $byte) (i32.const 46)) (f64.eq (local.get $place) (f64.const 0)))
          (then (local.set $place (f64.const 1)) (br $next)))
        (if (i32.gt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 9)) (then (return (f64.const 0))))
        (local.set $digits (i32.const 1))
        (local.set $number (f64.add
          (f64.mul (local.get $number) (f64.const 10))
          (f64.convert_i32_u (i32.sub (local.get $byte) (i32.const 48)))))
        (local.set $place (f64.mul (local.get $place) (f64.const 10)))
        (br $next)))
      (if (result f64) (f64.gt (local.get $place) (f64.const 1))
        (then (f64.div (local.get $number) (local.get $place)))
        (else (local.get $number))))

    ;; configure(params: string, fields: list<field>) -> result<plan, list<issue>>
    ;; A field takes 20 bytes: name at 0, scalar at 8, unit at 12.
    ;; The answer at 640: 0 and the plan, or 1 and the issues. plan = reads at 4, times at 12, slots at 13, emits at 16.
    (func (export "configure") (param $params i32) (param $params_len i32) (param $fields i32) (param $count i32)
      (result i32)
      (memory.fill (i32.const 640) (i32.const 0) (i32.const 24))
      (global.set $band (call $read_band (local.get $params) (local.get $params_len)))
      (if (i32.eqz (f64.gt (global.get $band) (f64.const 0))) (then (return (call $refuse (i32.const 544)))))
      (block $found (loop $next
        (if (i32.eqz (local.get $count)) (then (return (call $refuse (i32.const 560)))))
        (br_if $found (i32.eqz (i32.load8_u offset=8 (local.get $fields))))
        (local.set $fields (i32.add (local.get $fields) (i32.const 20)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
      ;; slots = true.
      (i32.store8 (i32.const 653) (i32.const 1))
      ;; reads = a list of one text, the field's name, where the host laid it.
      (i32.store (i32.const 644) (local.get $fields))
      (i32.store (i32.const 648) (i32.const 1))
      (i32.const 640))

    (func $refuse (param $issue i32) (result i32)
      (i32.store (i32.const 640) (i32.const 1))
      (i32.store (i32.const 644) (local.get $issue))
      (i32.store (i32.const 648) (i32.const 1))
      (i32.const 640))

    ;; Where a slot is; room is made for it. A page holds 4,096.
    (func $slot (param $slot i32) (result i32) (local $missing i32)
      (local.set $missing (i32.sub
        (i32.add (i32.shr_u (local.get $slot) (i32.const 12)) (i32.const 1)) (memory.size $slots)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow $slots (local.get $missing)) (i32.const -1)) (then unreachable))))
      (i32.shl (local.get $slot) (i32.const 4)))

    ;; keep(batch) -> kept. The batch comes as its parts; an option is a 0 or 1 before its address and length.
    ;; A column takes 32 bytes: kind of values at 0, their address at 4; whether there is validity at 20, its address
    ;; at 24.
    ;; The answer at 672: address and length of the mask, no faults.
    (func (export "keep") (param $rows i32) (param i32 i32 i32) (param i32) (param $of_row i32) (param i32)
      (param $columns i32) (param i32) (result i32)
      (local $at i32) (local $valid i32) (local $mask i32) (local $row i32) (local $slot i32) (local $value f64)
      (local.set $mask (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $rows)))
      (memory.fill (local.get $mask) (i32.const 0) (local.get $rows))
      (local.set $at (i32.load offset=4 (local.get $columns)))
      (if (i32.load8_u offset=20 (local.get $columns))
        (then (local.set $valid (i32.load offset=24 (local.get $columns)))))
      (block $done (loop $next
        (br_if $done (i32.eq (local.get $row) (local.get $rows)))
        (block $drop
          (if (local.get $valid)
            (then (br_if $drop (i32.eqz (i32.load8_u (i32.add (local.get $valid) (local.get $row)))))))
          (local.set $value (f64.load (local.get $at)))
          (local.set $slot (call $slot (i32.load (local.get $of_row))))
          (if (i32.load8_u $slots offset=8 (local.get $slot))
            (then
              ;; NaN is not greater than anything: it is dropped.
              (br_if $drop (i32.eqz (f64.gt
                (f64.abs (f64.sub (local.get $value) (f64.load $slots (local.get $slot)))) (global.get $band)))))
            (else (br_if $drop (f64.ne (local.get $value) (local.get $value)))))
          (i32.store8 (i32.add (local.get $mask) (local.get $row)) (i32.const 1))
          (f64.store $slots (local.get $slot) (local.get $value))
          (i32.store8 $slots offset=8 (local.get $slot) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $of_row (i32.add (local.get $of_row) (i32.const 4)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next)))
      (i32.store (i32.const 672) (local.get $mask))
      (i32.store (i32.const 676) (local.get $rows))
      (i32.store (i32.const 680) (i32.const 0))
      (i32.store (i32.const 684) (i32.const 0))
      (i32.const 672))

    (func (export "version") (result i32) (i32.const 1))

    ;; save(slots) -> blobs: the last value of each slot, nothing of one that has none.
    ;; The answer at 672: address and length of the offsets, address and length of the data.
    (func (export "save") (param $of i32) (param $count i32) (result i32)
      (local $offsets i32) (local $data i32) (local $end i32) (local $slot i32)
      (i32.store (i32.const 676) (i32.add (local.get $count) (i32.const 1)))
      (local.set $offsets (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
        (i32.shl (i32.load (i32.const 676)) (i32.const 2))))
      (local.set $data (call $realloc (i32.const 0) (i32.const 0) (i32.const 8)
        (i32.shl (local.get $count) (i32.const 3))))
      (i32.store (i32.const 672) (local.get $offsets))
      (i32.store (i32.const 680) (local.get $data))
      (i32.store (local.get $offsets) (i32.const 0))
      (block $done (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $slot (call $slot (i32.load (local.get $of))))
        (if (i32.load8_u $slots offset=8 (local.get $slot)) (then
          (f64.store (i32.add (local.get $data) (local.get $end)) (f64.load $slots (local.get $slot)))
          (local.set $end (i32.add (local.get $end) (i32.const 8)))))
        (local.set $offsets (i32.add (local.get $offsets) (i32.const 4)))
        (i32.store (local.get $offsets) (local.get $end))
        (local.set $of (i32.add (local.get $of) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
      (i32.store (i32.const 684) (local.get $end))
      (i32.const 672))

    ;; load(version, slots, states) -> result<_, string>. The answer at 688: 0, or 1 and the text.
    (func (export "load") (param $version i32) (param $of i32) (param $count i32) (param $offsets i32) (param i32)
      (param $data i32) (param i32) (result i32) (local $slot i32) (local $begin i32) (local $len i32)
      (if (i32.ne (local.get $version) (i32.const 1))
        (then (return (call $unreadable (i32.const 704) (i32.const 20)))))
      (block $done (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $slot (call $slot (i32.load (local.get $of))))
        (local.set $begin (i32.load (local.get $offsets)))
        (local.set $len (i32.sub (i32.load offset=4 (local.get $offsets)) (local.get $begin)))
        (if (local.get $len)
          (then
            (if (i32.ne (local.get $len) (i32.const 8))
              (then (return (call $unreadable (i32.const 736) (i32.const 19)))))
            (f64.store $slots (local.get $slot) (f64.load (i32.add (local.get $data) (local.get $begin)))))
          (else (f64.store $slots (local.get $slot) (f64.const 0))))
        (i32.store8 $slots offset=8 (local.get $slot) (i32.ne (local.get $len) (i32.const 0)))
        (local.set $of (i32.add (local.get $of) (i32.const 4)))
        (local.set $offsets (i32.add (local.get $offsets) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
      (i32.store (i32.const 688) (i32.const 0))
      (i32.const 688))

    (func $unreadable (param $text i32) (param $len i32) (result i32)
      (i32.store (i32.const 688) (i32.const 1))
      (i32.store (i32.const 692) (local.get $text))
      (i32.store (i32.const 696) (local.get $len))
      (i32.const 688))

    (func (export "release") (param $of i32) (param $count i32)
      (block $done (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i32.store8 $slots offset=8 (call $slot (i32.load (local.get $of))) (i32.const 0))
        (local.set $of (i32.add (local.get $of) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

    ;; The host has read the answer: all room is free again.
    (func (export "forget") (param i32) (global.set $free (global.get $heap)))
    (func (export "forget after nothing") (global.set $free (global.get $heap))))

  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (alias core export $code "realloc" (core func $realloc))
  (alias core export $code "forget" (core func $forget))
  (alias core export $code "forget after nothing" (core func $forget_all))

  ;; The interfaces: the functions above with their types.
  (type $about (record (field "name" string) (field "version" string) (field "summary" string)
    (field "params" string)))
  (type $plan (record (field "reads" (list string)) (field "times" bool) (field "slots" bool)
    (field "emits" (list $field))))
  (type $issue (record (field "at" string) (field "message" string)))
  (type $kept (record (field "keep" (list u8)) (field "faults" (list $fault))))
  (func $describe (result $about)
    (canon lift (core func $code "describe") (memory $memory)))
  (func $configure (param "params" string) (param "fields" (list $field)) (result (result $plan (error (list $issue))))
    (canon lift (core func $code "configure") (memory $memory) (realloc (core func $realloc))
      (post-return (core func $forget))))
  (func $keep (param "batch" $batch) (result $kept)
    (canon lift (core func $code "keep") (memory $memory) (realloc (core func $realloc))
      (post-return (core func $forget))))
  (func $version (result u32) (canon lift (core func $code "version")))
  (func $save (param "slots" (list u32)) (result $blobs)
    (canon lift (core func $code "save") (memory $memory) (realloc (core func $realloc))
      (post-return (core func $forget))))
  (func $load (param "version" u32) (param "slots" (list u32)) (param "states" $blobs) (result (result (error string)))
    (canon lift (core func $code "load") (memory $memory) (realloc (core func $realloc))
      (post-return (core func $forget))))
  (func $release (param "slots" (list u32))
    (canon lift (core func $code "release") (memory $memory) (realloc (core func $realloc))
      (post-return (core func $forget_all))))

  (instance $plugin (export "field" (type $field)) (export "about" (type $about)) (export "plan" (type $plan))
    (export "issue" (type $issue)) (export "describe" (func $describe)) (export "configure" (func $configure)))
  (export "tidegate:plugin/plugin@1.0.0" (instance $plugin))
  (instance $filter (export "batch" (type $batch)) (export "fault" (type $fault)) (export "kept" (type $kept))
    (export "keep" (func $keep)))
  (export "tidegate:plugin/filter@1.0.0" (instance $filter))
  (instance $state (export "blobs" (type $blobs)) (export "version" (func $version)) (export "save" (func $save))
    (export "load" (func $load)) (export "release" (func $release)))
  (export "tidegate:plugin/state@1.0.0" (instance $state)))
