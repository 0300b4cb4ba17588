;; The text of the .wasm beside it, which is what counts.
(component
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
    (export "fault" (type $fault (eq $fault')))
    (type $table' (record (field "origin" (option (list u32))) (field "columns" (list $column))
      (field "faults" (list $fault))))
    (export "table" (type $table (eq $table')))))
  (alias export $types "blobs" (type $blobs))
  (alias export $types "field" (type $field))
  (alias export $types "column" (type $column))
  (alias export $types "batch" (type $batch))
  (alias export $types "fault" (type $fault))
  (alias export $types "table" (type $table))

  (core module $memory (memory (export "memory") 2))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $memory))
  (import "tidegate:plugin/log@1.0.0" (instance $log-import
                 (type $level' (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level')))
                 (export "log" (func (param "level" $level) (param "message" string)))))
               (core func $log (canon lower (func $log-import "log") (memory $memory)))(core instance $host (export "log" (func $log)))

  (core module $code
    (import "memory" "memory" (memory 0))
    (import "host" "log" (func $log (param i32 i32 i32)))
    (global $free (mut i32) (i32.const 65536))
    (data (i32.const 1024) "\6f\6e\65\20\6c\69\6e\65\67\6f\6c\64\65\6e\73\00\31\2e\30\2e\30\00\00\00\47\69\76\65\73\20\74\68\65\20\73\61\6d\65\20\66\6f\72\20\65\76\65\72\00\7b\7d\00\00\00\00\00\00\08\04\00\00\07\00\00\00\10\04\00\00\05\00\00\00\18\04\00\00\17\00\00\00\30\04\00\00\02\00\00\00\74\65\6d\70\00\00\00\00\58\04\00\00\04\00\00\00\00\00\00\00\60\04\00\00\01\00\00\00\00\00\00\00\68\04\00\00\00\00\00\00")

    (func $realloc (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
      (result i32) (local $at i32) (local $missing i32)
      
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.set $missing (i32.sub
        (i32.add (i32.shr_u (global.get $free) (i32.const 16)) (i32.const 1)) (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
      (local.get $at))

    ;; Whether any value of the first column is `wanted`.
    (func $any (param $rows i32) (param $columns i32) (param $wanted f64) (result i32) (local $at i32)
      (local.set $at (i32.load offset=4 (local.get $columns)))
      (block $no (loop $next
        (br_if $no (i32.eqz (local.get $rows)))
        (if (f64.eq (f64.load (local.get $at)) (local.get $wanted)) (then (return (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $next)))
      (i32.const 0))

    ;; An answer of a filter's that keeps everything.
    (func $keep_all (param $rows i32) (result i32)
      (i32.store (i32.const 64)
        (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $rows)))
      (i32.store (i32.const 68) (local.get $rows))
      (memory.fill (i32.load (i32.const 64)) (i32.const 1) (local.get $rows))
      (i64.store (i32.const 72) (i64.const 0))
      (i32.const 64))

    

    (func (export "describe") (result i32) (i32.const 1080))
    (func (export "configure") (param i32 i32 i32 i32) (result i32)  (i32.const 1128))
    (func (export "rows") (param $rows i32) (param i32 i32 i32) (param i32 i32 i32) (param $columns i32) (param i32)
      (result i32) (call $log (i32.const 2) (i32.const 1024) (i32.const 8)) (call $keep_all (local.get $rows)))
    (func (export "merge") (param i32 i32 i32 i32))
    (func (export "finish") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))
    (func (export "version") (result i32) (i32.const 1))
    (func (export "save") (param $slots i32) (param $count i32) (result i32) (i32.const 0))
    (func (export "load") (param i32 i32 i32 i32 i32) (param $data i32) (param $len i32) (result i32) (i32.store8 (i32.const 96) (i32.const 0)) (i32.const 96))
    (func (export "release") (param i32 i32))
    (func (export "forget") (param i32) (global.set $free (i32.const 65536))))

  (core instance $code (instantiate $code (with "memory" (instance $memory)) (with "host" (instance $host))))
  (alias core export $code "realloc" (core func $realloc))
  (alias core export $code "forget" (core func $forget))

  (type $about (record (field "name" string) (field "version" string) (field "summary" string)
    (field "params" string)))
  (type $plan (record (field "reads" (list string)) (field "times" bool) (field "slots" bool)
    (field "emits" (list $field))))
  (type $issue (record (field "at" string) (field "message" string)))
  (func $describe (result $about) (canon lift (core func $code "describe") (memory $memory)))
  (func $configure (param "params" string) (param "fields" (list $field)) (result (result $plan (error (list $issue))))
    (canon lift (core func $code "configure") (memory $memory) (realloc (core func $realloc))
      (post-return (core func $forget))))
  (instance $plugin (export "field" (type $field)) (export "about" (type $about)) (export "plan" (type $plan))
    (export "issue" (type $issue)) (export "describe" (func $describe)) (export "configure" (func $configure)))
  (export "tidegate:plugin/plugin@1.0.0" (instance $plugin))

  (type $answer (record (field "keep" (list u8)) (field "faults" (list $fault))))
           (func $rows (param "batch" $batch) (result $answer) (canon lift (core func $code "rows") (memory $memory) (realloc (core func $realloc)) (post-return (core func $forget))))
           
           (instance $kind (export "batch" (type $batch)) (export "fault" (type $fault)) (export "kept" (type $answer))
             (export "keep" (func $rows)) )
           (export "tidegate:plugin/filter@1.0.0" (instance $kind)))
