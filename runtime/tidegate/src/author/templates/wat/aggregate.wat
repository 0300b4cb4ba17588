;; Count, mean, least and greatest reading of a window. Begin with this and make it yours.
;;
;; A core module whose functions have the contract's names and take its types flat, as the canonical ABI lays them down;
;; `tidegate plugin build` makes a component of it by wit/world.wit. What the types mean stands in
;; wit/deps/tidegate/tidegate.wit.
(module
  ;; The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
  (data (i32.const 256) "temp")
  (global $field i32 (i32.const 256))
  (data (i32.const 272) "temp is null")
  (global $null_reason i32 (i32.const 272))

  (data (i32.const 16) "@name@")
  (data (i32.const 96) "0.1.0")
  (data (i32.const 112) "What it does, in one line: gateways show it")
  (data (i32.const 512) "{\"type\":\"object\",\"properties\":{},\"required\":[],\"additionalProperties\":false}")
  (global $slots_wanted i32 (i32.const 1))

  ;; What comes out of a window; the gateway adds its device, start and end. A field takes 20 bytes: name, scalar (0 =
  ;; float, 1 = integer), unit.
  (data (i32.const 1024) "count")
  (data (i32.const 1040) "mean")
  (data (i32.const 1056) "least")
  (data (i32.const 1072) "greatest")
  (data (i32.const 1088) "Cel")
  (data (i32.const 1104)
    "\00\04\00\00\05\00\00\00" "\01\00\00\00" "\00\00\00\00\00\00\00\00"
    "\10\04\00\00\04\00\00\00" "\00\00\00\00" "\40\04\00\00\03\00\00\00"
    "\20\04\00\00\05\00\00\00" "\00\00\00\00" "\40\04\00\00\03\00\00\00"
    "\30\04\00\00\08\00\00\00" "\00\00\00\00" "\40\04\00\00\03\00\00\00")
  (global $emits i32 (i32.const 1104))
  (global $emits_len i32 (i32.const 4))

  ;; The configuration may set nothing.
  (func $set_defaults)
  (func $place_of_param (param $name i32) (param $len i32) (result i32) (i32.const 0))

  ;; What is remembered of each window: count at 0, sum at 8, least at 16, greatest at 24.
  (global $slot_bytes i32 (i32.const 32))

  (func $take_in (param $slot i32) (param $count f64) (param $sum f64) (param $least f64) (param $greatest f64)
    (local $first i32)
    (local.set $first (f64.eq (f64.load $slots (local.get $slot)) (f64.const 0)))
    (if (i32.or (local.get $first) (f64.lt (local.get $least) (f64.load $slots offset=16 (local.get $slot))))
      (then (f64.store $slots offset=16 (local.get $slot) (local.get $least))))
    (if (i32.or (local.get $first) (f64.gt (local.get $greatest) (f64.load $slots offset=24 (local.get $slot))))
      (then (f64.store $slots offset=24 (local.get $slot) (local.get $greatest))))
    (f64.store $slots (local.get $slot) (f64.add (f64.load $slots (local.get $slot)) (local.get $count)))
    (f64.store $slots offset=8 (local.get $slot)
      (f64.add (f64.load $slots offset=8 (local.get $slot)) (local.get $sum))))

  ;; update(batch) -> list<fault>. The batch comes as its parts; an option is a 0 or 1 before its address and length.
  ;; A column takes 32 bytes: kind of values at 0, their address at 4; whether there is validity at 20, its address
  ;; at 24. NaN is nothing.
  (func (export "tidegate:plugin/aggregate@1.0.0#update") (param $rows i32) (param i32 i32 i32) (param i32)
    (param $of_row i32) (param i32) (param $column i32) (param i32) (result i32)
    (local $temps i32) (local $valid i32) (local $row i32) (local $temp f64)
    (local.set $temps (i32.load offset=4 (local.get $column)))
    (if (i32.load8_u offset=20 (local.get $column))
      (then (local.set $valid (i32.load offset=24 (local.get $column)))))
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $row) (local.get $rows)))
      (local.set $temp (f64.load (local.get $temps)))
      (if (call $is_valid (local.get $valid) (local.get $row))
        (then (if (f64.eq (local.get $temp) (local.get $temp))
          (then (call $take_in (call $slot (i32.load (local.get $of_row)))
            (f64.const 1) (local.get $temp) (local.get $temp) (local.get $temp)))))
        (else (call $set_aside (local.get $rows) (local.get $row))))
      (local.set $temps (i32.add (local.get $temps) (i32.const 8)))
      (local.set $of_row (i32.add (local.get $of_row) (i32.const 4)))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next)))
    (call $put_list (i32.const 1536) (global.get $faults) (global.get $faults_len))
    (i32.const 1536))
  (export "cabi_post_tidegate:plugin/aggregate@1.0.0#update" (func $forget))

  ;; merge(into, later): what was seen of later records.
  (func (export "tidegate:plugin/aggregate@1.0.0#merge") (param $into i32) (param $count i32) (param $later i32) (param i32)
    (local $more i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $more (call $slot (i32.load (local.get $later))))
      (if (f64.gt (f64.load $slots (local.get $more)) (f64.const 0))
        (then (call $take_in (call $slot (i32.load (local.get $into)))
          (f64.load $slots (local.get $more)) (f64.load $slots offset=8 (local.get $more))
          (f64.load $slots offset=16 (local.get $more)) (f64.load $slots offset=24 (local.get $more)))))
      (local.set $into (i32.add (local.get $into) (i32.const 4)))
      (local.set $later (i32.add (local.get $later) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (call $forget (i32.const 0)))

  ;; A column of doubles or integers at `$at`, null where `$valid` is 0; `$valid` itself 0: no nulls.
  (func $put_column (param $at i32) (param $kind i32) (param $values i32) (param $valid i32) (param $count i32)
    (i32.store (local.get $at) (local.get $kind))
    (call $put_list (i32.add (local.get $at) (i32.const 4)) (local.get $values) (local.get $count))
    (i32.store offset=20 (local.get $at) (i32.ne (local.get $valid) (i32.const 0)))
    (call $put_list (i32.add (local.get $at) (i32.const 24)) (local.get $valid) (local.get $count)))

  ;; finish(windows) -> list<column>. The windows come as slots, starts and ends.
  (func (export "tidegate:plugin/aggregate@1.0.0#finish") (param $of i32) (param $count i32) (param i32 i32) (param i32 i32)
    (result i32)
    (local $bytes i32) (local $counts i32) (local $means i32) (local $least i32) (local $greatest i32) (local $valid i32)
    (local $at i32) (local $eight i32) (local $slot i32) (local $columns i32)
    (local.set $bytes (i32.shl (local.get $count) (i32.const 3)))
    (local.set $counts (call $list (local.get $bytes)))
    (local.set $means (call $list (local.get $bytes)))
    (local.set $least (call $list (local.get $bytes)))
    (local.set $greatest (call $list (local.get $bytes)))
    (local.set $valid (call $list (local.get $count)))
    (local.set $columns (call $list (i32.const 128)))
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $at) (local.get $count)))
      (local.set $slot (call $slot (i32.load (i32.add (local.get $of) (i32.shl (local.get $at) (i32.const 2))))))
      (local.set $eight (i32.shl (local.get $at) (i32.const 3)))
      (i32.store8 (i32.add (local.get $valid) (local.get $at))
        (f64.gt (f64.load $slots (local.get $slot)) (f64.const 0)))
      (i64.store (i32.add (local.get $counts) (local.get $eight)) (i64.trunc_f64_s (f64.load $slots (local.get $slot))))
      (f64.store (i32.add (local.get $means) (local.get $eight))
        (f64.div (f64.load $slots offset=8 (local.get $slot)) (f64.load $slots (local.get $slot))))
      (f64.store (i32.add (local.get $least) (local.get $eight)) (f64.load $slots offset=16 (local.get $slot)))
      (f64.store (i32.add (local.get $greatest) (local.get $eight)) (f64.load $slots offset=24 (local.get $slot)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (call $put_column (local.get $columns) (i32.const 1) (local.get $counts) (i32.const 0) (local.get $count))
    (call $put_column (i32.add (local.get $columns) (i32.const 32))
      (i32.const 0) (local.get $means) (local.get $valid) (local.get $count))
    (call $put_column (i32.add (local.get $columns) (i32.const 64))
      (i32.const 0) (local.get $least) (local.get $valid) (local.get $count))
    (call $put_column (i32.add (local.get $columns) (i32.const 96))
      (i32.const 0) (local.get $greatest) (local.get $valid) (local.get $count))
    (call $put_list (i32.const 1536) (local.get $columns) (i32.const 4))
    (i32.const 1536))
  (export "cabi_post_tidegate:plugin/aggregate@1.0.0#finish" (func $forget))

;; @common@

;; @state@
)
