;; Keeps warm readings. Begin with this and make it yours.
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
  (data (i32.const 512) "{\"type\":\"object\",\"properties\":{"
    "\"above\":{\"type\":\"number\",\"default\":20.0,\"description\":\"Readings above this are kept\"},"
    "\"below\":{\"type\":\"number\",\"description\":\"And below this, where it is given\"}},"
    "\"required\":[],\"additionalProperties\":false}")
  (global $slots_wanted i32 (i32.const 0))
  (global $emits i32 (i32.const 0))
  (global $emits_len i32 (i32.const 0))

  ;; What the configuration may set: doubles at 1024 and 1032. `below` is NaN where it is not given.
  (data (i32.const 1088) "above")
  (data (i32.const 1104) "below")
  (func $set_defaults
    (f64.store (i32.const 1024) (f64.const 20))
    (f64.store (i32.const 1032) (f64.const nan)))
  (func $place_of_param (param $name i32) (param $len i32) (result i32)
    (if (call $is (local.get $name) (local.get $len) (i32.const 1088)) (then (return (i32.const 1024))))
    (if (call $is (local.get $name) (local.get $len) (i32.const 1104)) (then (return (i32.const 1032))))
    (i32.const 0))

  ;; Whether a record is kept. A limit that is not given is NaN, which nothing is below of or not.
  (func $is_kept (param $temp f64) (result i32)
    (i32.and
      (f64.gt (local.get $temp) (f64.load (i32.const 1024)))
      (i32.eqz (f64.ge (local.get $temp) (f64.load (i32.const 1032))))))

  ;; keep(batch) -> kept. The batch comes as its parts; an option is a 0 or 1 before its address and length.
  ;; A column takes 32 bytes: kind of values at 0, their address at 4; whether there is validity at 20, its address
  ;; at 24. The answer: the mask, the faults.
  (func (export "tidegate:plugin/filter@1.0.0#keep") (param $rows i32) (param i32 i32 i32) (param i32 i32 i32)
    (param $column i32) (param i32) (result i32)
    (local $temps i32) (local $valid i32) (local $mask i32) (local $row i32)
    (local.set $mask (call $list (local.get $rows)))
    (local.set $temps (i32.load offset=4 (local.get $column)))
    (if (i32.load8_u offset=20 (local.get $column))
      (then (local.set $valid (i32.load offset=24 (local.get $column)))))
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $row) (local.get $rows)))
      (if (i32.eqz (call $is_valid (local.get $valid) (local.get $row)))
        (then (call $set_aside (local.get $rows) (local.get $row))))
      (i32.store8 (i32.add (local.get $mask) (local.get $row)) (call $is_kept (f64.load (local.get $temps))))
      (local.set $temps (i32.add (local.get $temps) (i32.const 8)))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next)))
    (call $put_list (i32.const 1536) (local.get $mask) (local.get $rows))
    (call $put_list (i32.const 1544) (global.get $faults) (global.get $faults_len))
    (i32.const 1536))
  (export "cabi_post_tidegate:plugin/filter@1.0.0#keep" (func $forget))

;; @common@
)
