  ;; ---- What every plugin needs ------------------------------------------------------------------------------------

  ;; Texts end with a 0, which is not a part of them. Below 4096: texts, parameters, answers; above, whatever a call lays
  ;; down. A list or text in an answer is its address and its length, 4 bytes each.
  ;;   16 name   96 version   112 summary   512 schema of the parameters   1024 to 1535 the plugin's own
  ;;   1536 the answer   1600 the text that is read   2048 issues, 16 bytes each: where and what
  (memory $main (export "memory") 1)
  (global $free (mut i32) (i32.const 4096))
  (data (i32.const 288) "the input has no such field")
  (data (i32.const 320) "is of another type in the input")
  (data (i32.const 352) "there is no such parameter")
  (data (i32.const 384) "expected a number of at most 15 digits")

  ;; Room for what the gateway hands over and for answers, one after another.
  (func $room (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
    (result i32) (local $at i32) (local $missing i32)
    ;; Rounded up to the alignment, which is a power of two.
    (local.set $at (i32.and
      (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.set $missing (i32.sub
      (i32.shr_u (i32.add (global.get $free) (i32.const 65535)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
    (local.get $at))

  ;; A list of so many bytes.
  (func $list (param $bytes i32) (result i32)
    (call $room (i32.const 0) (i32.const 0) (i32.const 8) (local.get $bytes)))

  ;; The gateway has read the answer: all room is free again.
  (func $forget (param i32)
    (global.set $free (i32.const 4096))
    (global.set $faults_len (i32.const 0)))
  (export "cabi_post_tidegate:plugin/plugin@1.0.0#configure" (func $forget))

  (func $len (param $text i32) (result i32) (local $at i32)
    (local.set $at (local.get $text))
    (block $done (loop $next
      (br_if $done (i32.eqz (i32.load8_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (i32.sub (local.get $at) (local.get $text)))

  ;; Address and length of a text, into an answer.
  (func $put_text (param $at i32) (param $text i32)
    (i32.store (local.get $at) (local.get $text))
    (i32.store offset=4 (local.get $at) (call $len (local.get $text))))

  ;; Address and length of a list, into an answer.
  (func $put_list (param $at i32) (param $list i32) (param $len i32)
    (i32.store (local.get $at) (local.get $list))
    (i32.store offset=4 (local.get $at) (local.get $len)))

  ;; Whether what the gateway laid down is this text of ours.
  (func $is (param $given i32) (param $len i32) (param $text i32) (result i32)
    (if (i32.ne (local.get $len) (call $len (local.get $text))) (then (return (i32.const 0))))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $len)))
      (if (i32.ne (i32.load8_u (local.get $given)) (i32.load8_u (local.get $text))) (then (return (i32.const 0))))
      (local.set $given (i32.add (local.get $given) (i32.const 1)))
      (local.set $text (i32.add (local.get $text) (i32.const 1)))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br $next)))
    (i32.const 1))

  ;; Rows set aside, 12 bytes each: row, reason.
  (global $faults (mut i32) (i32.const 0))
  (global $faults_len (mut i32) (i32.const 0))
  (func $set_aside (param $rows i32) (param $row i32) (local $fault i32)
    (if (i32.eqz (global.get $faults_len))
      (then (global.set $faults (call $list (i32.mul (local.get $rows) (i32.const 12))))))
    (local.set $fault (i32.add (global.get $faults) (i32.mul (global.get $faults_len) (i32.const 12))))
    (i32.store (local.get $fault) (local.get $row))
    (call $put_text (i32.add (local.get $fault) (i32.const 4)) (global.get $null_reason))
    (global.set $faults_len (i32.add (global.get $faults_len) (i32.const 1))))

  ;; A row's byte of validity; `$valid` is 0 where no row is null.
  (func $is_valid (param $valid i32) (param $row i32) (result i32)
    (if (i32.eqz (local.get $valid)) (then (return (i32.const 1))))
    (i32.load8_u (i32.add (local.get $valid) (local.get $row))))

  ;; describe() -> about
  (func (export "tidegate:plugin/plugin@1.0.0#describe") (result i32)
    (call $put_text (i32.const 1536) (i32.const 16))
    (call $put_text (i32.const 1544) (i32.const 96))
    (call $put_text (i32.const 1552) (i32.const 112))
    (call $put_text (i32.const 1560) (i32.const 512))
    (i32.const 1536))

  ;; configure(params, fields) -> result<plan, list<issue>>
  ;; A field takes 20 bytes: name at 0, scalar at 8, unit at 12.
  ;; The answer: 0 and the plan, or 1 and the issues. plan = reads at 4, times at 12, slots at 13, emits at 16.
  (global $issues_len (mut i32) (i32.const 0))
  (func (export "tidegate:plugin/plugin@1.0.0#configure") (param $params i32) (param $params_len i32) (param $fields i32)
    (param $count i32) (result i32)
    (global.set $issues_len (i32.const 0))
    (call $set_defaults)
    (call $read_params (local.get $params) (local.get $params_len))
    (call $want_field (local.get $fields) (local.get $count))
    (memory.fill (i32.const 1536) (i32.const 0) (i32.const 24))
    (if (global.get $issues_len)
      (then
        (i32.store8 (i32.const 1536) (i32.const 1))
        (call $put_list (i32.const 1540) (i32.const 2048) (global.get $issues_len)))
      (else
        (call $put_text (i32.const 1600) (global.get $field))
        (call $put_list (i32.const 1540) (i32.const 1600) (i32.const 1))
        (i32.store8 (i32.const 1549) (global.get $slots_wanted))
        (call $put_list (i32.const 1552) (global.get $emits) (global.get $emits_len))))
    (i32.const 1536))

  (func $refuse (param $at i32) (param $len i32) (param $message i32) (local $issue i32)
    (if (i32.ge_u (global.get $issues_len) (i32.const 32)) (then (return)))
    (local.set $issue (i32.add (i32.const 2048) (i32.shl (global.get $issues_len) (i32.const 4))))
    (call $put_list (local.get $issue) (local.get $at) (local.get $len))
    (call $put_text (i32.add (local.get $issue) (i32.const 8)) (local.get $message))
    (global.set $issues_len (i32.add (global.get $issues_len) (i32.const 1))))

  ;; Refuses an input without the field, or with another type of it.
  (func $want_field (param $fields i32) (param $count i32)
    (block $missing (loop $next
      (br_if $missing (i32.eqz (local.get $count)))
      (if (call $is (i32.load (local.get $fields)) (i32.load offset=4 (local.get $fields)) (global.get $field))
        (then
          (if (i32.load8_u offset=8 (local.get $fields))
            (then (call $refuse (global.get $field) (call $len (global.get $field)) (i32.const 320))))
          (return)))
      (local.set $fields (i32.add (local.get $fields) (i32.const 20)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (call $refuse (global.get $field) (call $len (global.get $field)) (i32.const 288)))

  ;; Parameters are a JSON object without spaces: every number goes to the place $place_of_param has for its name.
  (func $read_params (param $at i32) (param $len i32)
    (local $end i32) (local $quote i32) (local $value i32) (local $place i32) (local $number f64)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $quote (local.get $at))
      (br_if $done (i32.ne (i32.load8_u (local.get $quote)) (i32.const 34)))
      (loop $name
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $name (i32.and
          (i32.lt_u (local.get $at) (local.get $end))
          (i32.ne (i32.load8_u (local.get $at)) (i32.const 34)))))
      ;; "above": its quote makes room for the pointer /above, which has the length of the name and its quote.
      (i32.store8 (local.get $quote) (i32.const 47))
      (local.set $len (i32.sub (local.get $at) (local.get $quote)))
      (local.set $value (i32.add (local.get $at) (i32.const 2)))
      (local.set $at (call $skip (local.get $value) (local.get $end)))
      (local.set $place (call $place_of_param
        (i32.add (local.get $quote) (i32.const 1)) (i32.sub (local.get $len) (i32.const 1))))
      (local.set $number (call $read_number (local.get $value) (local.get $at)))
      (if (i32.eqz (local.get $place))
        (then (call $refuse (local.get $quote) (local.get $len) (i32.const 352)))
        (else (if (f64.ne (local.get $number) (local.get $number))
          (then (call $refuse (local.get $quote) (local.get $len) (i32.const 384)))
          (else (f64.store (local.get $place) (local.get $number))))))
      ;; Past the comma.
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))))

  ;; Past a JSON value of any kind: to the comma or brace behind it.
  (func $skip (param $at i32) (param $end i32) (result i32) (local $depth i32) (local $quoted i32) (local $byte i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (local.get $quoted)
        (then
          (if (i32.eq (local.get $byte) (i32.const 92)) (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
          (if (i32.eq (local.get $byte) (i32.const 34)) (then (local.set $quoted (i32.const 0)))))
        (else
          (if (i32.eq (local.get $byte) (i32.const 34)) (then (local.set $quoted (i32.const 1))))
          ;; { or [
          (if (i32.or (i32.eq (local.get $byte) (i32.const 123)) (i32.eq (local.get $byte) (i32.const 91)))
            (then (local.set $depth (i32.add (local.get $depth) (i32.const 1)))))
          (br_if $done (i32.and (i32.eqz (local.get $depth)) (i32.eq (local.get $byte) (i32.const 44))))
          ;; } or ]
          (if (i32.or (i32.eq (local.get $byte) (i32.const 125)) (i32.eq (local.get $byte) (i32.const 93)))
            (then
              (br_if $done (i32.eqz (local.get $depth)))
              (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (local.get $at))

  ;; A JSON number of at most 15 digits, times or by a power of ten of at most 22: both are exact as doubles, so one
  ;; rounding gives the double nearest to what was written. Anything else is NaN.
  (func $read_number (param $at i32) (param $end i32) (result f64)
    (local $byte i32) (local $negative i32) (local $seen i32) (local $significant i32) (local $point i32)
    (local $power i32) (local $down i32) (local $exponent i32) (local $digits i64) (local $ten f64) (local $number f64)
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 45))
      (then (local.set $negative (i32.const 1)) (local.set $at (i32.add (local.get $at) (i32.const 1)))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.and (i32.eq (local.get $byte) (i32.const 46)) (i32.eqz (local.get $point)))
        (then (local.set $point (i32.const 1)))
        (else
          (local.set $byte (i32.sub (local.get $byte) (i32.const 48)))
          (br_if $done (i32.gt_u (local.get $byte) (i32.const 9)))
          (local.set $seen (i32.const 1))
          (local.set $power (i32.sub (local.get $power) (local.get $point)))
          (local.set $digits
            (i64.add (i64.mul (local.get $digits) (i64.const 10)) (i64.extend_i32_u (local.get $byte))))
          (if (i64.ne (local.get $digits) (i64.const 0))
            (then
              (local.set $significant (i32.add (local.get $significant) (i32.const 1)))
              (if (i32.gt_u (local.get $significant) (i32.const 15)) (then (return (f64.const nan))))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    ;; e or E, a sign, digits.
    (if (i32.and (i32.lt_u (local.get $at) (local.get $end))
        (i32.eq (i32.or (i32.load8_u (local.get $at)) (i32.const 32)) (i32.const 101)))
      (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $down (i32.eq (i32.load8_u (local.get $at)) (i32.const 45)))
        (if (i32.or (local.get $down) (i32.eq (i32.load8_u (local.get $at)) (i32.const 43)))
          (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
        (block $done (loop $next
          (br_if $done (i32.or
            (i32.ge_u (local.get $at) (local.get $end)) (i32.gt_u (local.get $exponent) (i32.const 99))))
          (local.set $byte (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
          (br_if $done (i32.gt_u (local.get $byte) (i32.const 9)))
          (local.set $exponent (i32.add (i32.mul (local.get $exponent) (i32.const 10)) (local.get $byte)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next)))
        (if (local.get $down) (then (local.set $exponent (i32.sub (i32.const 0) (local.get $exponent)))))
        (local.set $power (i32.add (local.get $power) (local.get $exponent)))))
    (if (i32.or (i32.eqz (local.get $seen)) (i32.ne (local.get $at) (local.get $end)))
      (then (return (f64.const nan))))
    (local.set $down (i32.lt_s (local.get $power) (i32.const 0)))
    (if (local.get $down) (then (local.set $power (i32.sub (i32.const 0) (local.get $power)))))
    (if (i32.gt_u (local.get $power) (i32.const 22)) (then (return (f64.const nan))))
    (local.set $ten (f64.const 1))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $power)))
      (local.set $ten (f64.mul (local.get $ten) (f64.const 10)))
      (local.set $power (i32.sub (local.get $power) (i32.const 1)))
      (br $next)))
    (local.set $number (f64.convert_i64_s (local.get $digits)))
    (local.set $number (if (result f64) (local.get $down)
      (then (f64.div (local.get $number) (local.get $ten)))
      (else (f64.mul (local.get $number) (local.get $ten)))))
    (if (result f64) (local.get $negative)
      (then (f64.neg (local.get $number)))
      (else (local.get $number))))
