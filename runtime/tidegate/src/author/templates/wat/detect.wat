;; Finds readings far from what their device told of late. Begin with this and make it yours.
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
    "\"threshold\":{\"type\":\"number\",\"default\":4.0,"
    "\"description\":\"So many deviations from the recent mean are unusual\"}},"
    "\"required\":[],\"additionalProperties\":false}")
  (global $slots_wanted i32 (i32.const 1))
  (global $emits i32 (i32.const 0))
  (global $emits_len i32 (i32.const 0))

  ;; What the configuration may set: a double at 1024.
  (data (i32.const 1088) "threshold")
  (func $set_defaults (f64.store (i32.const 1024) (f64.const 4)))
  (func $place_of_param (param $name i32) (param $len i32) (result i32)
    (if (call $is (local.get $name) (local.get $len) (i32.const 1088)) (then (return (i32.const 1024))))
    (i32.const 0))

  ;; The weight of the newest reading, how many come before anything is unusual, the least deviation taken for real.
  (global $alpha f64 (f64.const 0.1))
  (global $warmup f64 (f64.const 10))
  (global $least_deviation f64 (f64.const 0.001))
  (data (i32.const 1104) "temp is above what the device told of late")
  (data (i32.const 1152) "temp is below what the device told of late")

  ;; What is remembered of each device: how many readings at 0, mean at 8, variance at 16.
  (global $slot_bytes i32 (i32.const 24))

  ;; Exponentially weighted; the first readings weigh alike, so that the first of all does not linger.
  (func $take_in (param $slot i32) (param $temp f64) (local $alpha f64) (local $delta f64) (local $step f64)
    (local.set $alpha (f64.div (f64.const 1) (f64.add (f64.load $slots (local.get $slot)) (f64.const 1))))
    (if (i32.eqz (f64.gt (local.get $alpha) (global.get $alpha))) (then (local.set $alpha (global.get $alpha))))
    (local.set $delta (f64.sub (local.get $temp) (f64.load $slots offset=8 (local.get $slot))))
    (local.set $step (f64.mul (local.get $alpha) (local.get $delta)))
    (f64.store $slots offset=8 (local.get $slot)
      (f64.add (f64.load $slots offset=8 (local.get $slot)) (local.get $step)))
    (f64.store $slots offset=16 (local.get $slot) (f64.mul
      (f64.sub (f64.const 1) (local.get $alpha))
      (f64.add (f64.load $slots offset=16 (local.get $slot)) (f64.mul (local.get $step) (local.get $delta)))))
    (f64.store $slots (local.get $slot) (f64.add (f64.load $slots (local.get $slot)) (f64.const 1))))

  ;; Findings, 32 bytes each: row at 0, score at 8, severity at 16, reason at 20.
  (global $findings (mut i32) (i32.const 0))
  (global $findings_len (mut i32) (i32.const 0))
  (func $find (param $rows i32) (param $row i32) (param $score f64) (local $finding i32) (local $threshold f64)
    (if (i32.eqz (global.get $findings_len))
      (then (global.set $findings (call $list (i32.shl (local.get $rows) (i32.const 5))))))
    (local.set $finding (i32.add (global.get $findings) (i32.shl (global.get $findings_len) (i32.const 5))))
    (i32.store (local.get $finding) (local.get $row))
    (f64.store offset=8 (local.get $finding) (local.get $score))
    (local.set $threshold (f64.load (i32.const 1024)))
    (i32.store8 offset=16 (local.get $finding) (select (i32.const 75) (i32.const 50)
      (f64.ge (f64.abs (local.get $score)) (f64.mul (f64.const 2) (local.get $threshold)))))
    (call $put_text (i32.add (local.get $finding) (i32.const 20))
      (select (i32.const 1104) (i32.const 1152) (f64.gt (local.get $score) (f64.const 0))))
    (global.set $findings_len (i32.add (global.get $findings_len) (i32.const 1))))

  ;; Takes in a reading, and finds it where it is unusual.
  (func $look_at (param $rows i32) (param $row i32) (param $slot i32) (param $temp f64)
    (local $deviation f64) (local $score f64) (local $threshold f64)
    ;; Infinities and NaN.
    (if (f64.ne (f64.sub (local.get $temp) (local.get $temp)) (f64.const 0)) (then (return)))
    (local.set $deviation (f64.sqrt (f64.load $slots offset=16 (local.get $slot))))
    (if (i32.eqz (f64.gt (local.get $deviation) (global.get $least_deviation)))
      (then (local.set $deviation (global.get $least_deviation))))
    (local.set $score (f64.div
      (f64.sub (local.get $temp) (f64.load $slots offset=8 (local.get $slot))) (local.get $deviation)))
    (local.set $threshold (f64.load (i32.const 1024)))
    (if (i32.and
        (f64.ge (f64.load $slots (local.get $slot)) (global.get $warmup))
        (f64.ge (f64.abs (local.get $score)) (local.get $threshold)))
      (then
        (call $find (local.get $rows) (local.get $row) (local.get $score))
        ;; Taken in as if it lay at the threshold: a spike blinds nobody, and a change that lasts is learned.
        (if (i32.eqz (f64.gt (local.get $score) (f64.const 0)))
          (then (local.set $threshold (f64.neg (local.get $threshold)))))
        (local.set $temp (f64.add
          (f64.load $slots offset=8 (local.get $slot)) (f64.mul (local.get $threshold) (local.get $deviation))))))
    (call $take_in (local.get $slot) (local.get $temp)))

  ;; score(batch) -> found. The batch comes as its parts; an option is a 0 or 1 before its address and length.
  ;; A column takes 32 bytes: kind of values at 0, their address at 4; whether there is validity at 20, its address
  ;; at 24. The answer: findings at 0, whether there are scores at 8, faults at 20.
  (func (export "tidegate:plugin/detect@1.0.0#score") (param $rows i32) (param i32 i32 i32) (param i32) (param $of_row i32)
    (param i32) (param $column i32) (param i32) (result i32)
    (local $temps i32) (local $valid i32) (local $row i32)
    (global.set $findings_len (i32.const 0))
    (local.set $temps (i32.load offset=4 (local.get $column)))
    (if (i32.load8_u offset=20 (local.get $column))
      (then (local.set $valid (i32.load offset=24 (local.get $column)))))
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $row) (local.get $rows)))
      (if (call $is_valid (local.get $valid) (local.get $row))
        (then (call $look_at (local.get $rows) (local.get $row)
          (call $slot (i32.load (local.get $of_row))) (f64.load (local.get $temps))))
        (else (call $set_aside (local.get $rows) (local.get $row))))
      (local.set $temps (i32.add (local.get $temps) (i32.const 8)))
      (local.set $of_row (i32.add (local.get $of_row) (i32.const 4)))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next)))
    (call $put_list (i32.const 1536) (global.get $findings) (global.get $findings_len))
    (i32.store8 (i32.const 1544) (i32.const 0))
    (call $put_list (i32.const 1556) (global.get $faults) (global.get $faults_len))
    (i32.const 1536))
  (export "cabi_post_tidegate:plugin/detect@1.0.0#score" (func $forget))

;; @common@

;; @state@
)
