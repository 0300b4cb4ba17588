  ;; ---- State ------------------------------------------------------------------------------------------------------

  ;; A memory of its own for the slots, $slot_bytes each. A slot whose first double is 0 was never touched. What is saved
  ;; is the slot's bytes: little-endian, as all of WebAssembly.
  (memory $slots 0)
  (data (i32.const 432) "knows version 1 only")
  (data (i32.const 464) "a state is of another size")

  ;; Where a slot is in $slots; room is made for it.
  (func $slot (param $slot i32) (result i32) (local $at i32) (local $missing i32)
    (local.set $at (i32.mul (local.get $slot) (global.get $slot_bytes)))
    (local.set $missing (i32.sub
      (i32.shr_u (i32.add (local.get $at) (i32.const 131071)) (i32.const 16)) (memory.size $slots)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then (if (i32.eq (memory.grow $slots (local.get $missing)) (i32.const -1)) (then unreachable))))
    (local.get $at))

  (func (export "tidegate:plugin/state@1.0.0#version") (result i32) (i32.const 1))

  ;; save(slots) -> blobs. The answer: the offsets, the data.
  (func (export "tidegate:plugin/state@1.0.0#save") (param $of i32) (param $count i32) (result i32)
    (local $offsets i32) (local $data i32) (local $end i32) (local $slot i32)
    (local.set $offsets (call $list (i32.shl (i32.add (local.get $count) (i32.const 1)) (i32.const 2))))
    (local.set $data (call $list (i32.mul (local.get $count) (global.get $slot_bytes))))
    (call $put_list (i32.const 1536) (local.get $offsets) (i32.add (local.get $count) (i32.const 1)))
    (i32.store (local.get $offsets) (i32.const 0))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $slot (call $slot (i32.load (local.get $of))))
      (if (f64.ne (f64.load $slots (local.get $slot)) (f64.const 0))
        (then
          (memory.copy $main $slots
            (i32.add (local.get $data) (local.get $end)) (local.get $slot) (global.get $slot_bytes))
          (local.set $end (i32.add (local.get $end) (global.get $slot_bytes)))))
      (local.set $offsets (i32.add (local.get $offsets) (i32.const 4)))
      (i32.store (local.get $offsets) (local.get $end))
      (local.set $of (i32.add (local.get $of) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (call $put_list (i32.const 1544) (local.get $data) (local.get $end))
    (i32.const 1536))
  (export "cabi_post_tidegate:plugin/state@1.0.0#save" (func $forget))

  ;; load(version, slots, states) -> result<_, string>. The answer: 0, or 1 and the text.
  (func (export "tidegate:plugin/state@1.0.0#load") (param $version i32) (param $of i32) (param $count i32)
    (param $offsets i32) (param i32) (param $data i32) (param i32) (result i32)
    (local $slot i32) (local $from i32) (local $len i32)
    (i32.store8 (i32.const 1536) (i32.const 1))
    (call $put_text (i32.const 1540) (i32.const 432))
    (if (i32.ne (local.get $version) (i32.const 1)) (then (return (i32.const 1536))))
    (call $put_text (i32.const 1540) (i32.const 464))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $slot (call $slot (i32.load (local.get $of))))
      (local.set $from (i32.load (local.get $offsets)))
      (local.set $len (i32.sub (i32.load offset=4 (local.get $offsets)) (local.get $from)))
      (if (local.get $len)
        (then
          (if (i32.ne (local.get $len) (global.get $slot_bytes)) (then (return (i32.const 1536))))
          (memory.copy $slots $main
            (local.get $slot) (i32.add (local.get $data) (local.get $from)) (global.get $slot_bytes)))
        (else (memory.fill $slots (local.get $slot) (i32.const 0) (global.get $slot_bytes))))
      (local.set $of (i32.add (local.get $of) (i32.const 4)))
      (local.set $offsets (i32.add (local.get $offsets) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (i32.store8 (i32.const 1536) (i32.const 0))
    (i32.const 1536))
  (export "cabi_post_tidegate:plugin/state@1.0.0#load" (func $forget))

  (func (export "tidegate:plugin/state@1.0.0#release") (param $of i32) (param $count i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (memory.fill $slots (call $slot (i32.load (local.get $of))) (i32.const 0) (global.get $slot_bytes))
      (local.set $of (i32.add (local.get $of) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (call $forget (i32.const 0)))
