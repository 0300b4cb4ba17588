;; Stands in for WASI in a component made by Go, whose runtime imports it whether it is used or not. It becomes a part of
;; the component, so that the component imports nothing and the gateway gives nothing: there are no files, no arguments,
;; no environment; random bytes are the same in every instance, so that maps do not differ between two of them; the
;; clock counts how often it was asked, for it must not stand still; what the runtime says when it ends is lost, and the
;; end is a trap.
(module
  (import "env" "memory" (memory 0))

  ;; errno 8: bad file descriptor. errno 52: not supported.
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32) (i32.const 52))

  (func $none (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func $get (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $get))
  (export "environ_get" (func $get))

  (global $asked (mut i64) (i64.const 0))
  (func (export "clock_time_get") (param i32) (param i64) (param $at i32) (result i32)
    (global.set $asked (i64.add (global.get $asked) (i64.const 1000)))
    (i64.store (local.get $at) (global.get $asked))
    (i32.const 0))

  (func (export "random_get") (param $at i32) (param $len i32) (result i32)
    (memory.fill (local.get $at) (i32.const 42) (local.get $len))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param i32) unreachable))
