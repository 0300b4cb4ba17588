// The contract tidegate:plugin@1.0.0 in C, whole and freestanding: no libc, no WASI, nothing imported. What every type
// means is written in wit/deps/tidegate/tidegate.wit; the structs here lie in memory as the gateway lays them.
//
// A plugin is one file: it includes this one and ends with TG_PLUGIN(describe, configure), one of TG_FILTER(keep),
// TG_TRANSFORM(apply), TG_DETECT(score), TG_AGGREGATE(update, merge, finish), TG_CODEC(decode), and TG_STATE(struct) where
// it keeps state. wit/world.wit names the same interfaces.
//
// Arithmetic is IEEE 754 on doubles, in the order it is written: WebAssembly has no fused multiply-add, and
// __builtin_sqrt, __builtin_fabs and the like are exact instructions.
#ifndef TIDEGATE_H
#define TIDEGATE_H

#include <stddef.h>
#include <stdint.h>

// ---- Shapes -------------------------------------------------------------------------------------------------------

#define TG_LIST(type, name) \
    typedef struct { \
        type *items; \
        size_t len; \
    } name

TG_LIST(const char, tg_text); // UTF-8, no 0 at its end
TG_LIST(const uint8_t, tg_bytes);
TG_LIST(const uint32_t, tg_u32s);
TG_LIST(const int64_t, tg_s64s);
TG_LIST(const double, tg_f64s);
TG_LIST(tg_text, tg_texts);

// A text that stands in the source.
#define TG_TEXT(literal) {literal, sizeof(literal) - 1}

enum tg_scalar { TG_FLOAT, TG_INTEGER, TG_BOOLEAN, TG_STRING, TG_BYTES };

typedef struct {
    tg_text name;
    uint8_t scalar;
    tg_text unit;
} tg_field;
TG_LIST(tg_field, tg_fields);

typedef struct {
    tg_u32s offsets;
    tg_bytes data;
} tg_blobs;

// `values` is of the kind `scalar` says; `has_valid` is 0 where no row is null.
typedef struct {
    uint8_t scalar;
    union {
        tg_f64s floats;
        tg_s64s integers;
        tg_bytes booleans;
        tg_blobs blobs;
    } values;
    uint8_t has_valid;
    tg_bytes valid;
} tg_column;
TG_LIST(tg_column, tg_columns);

typedef struct {
    uint32_t rows;
    const int64_t *times;  // NULL where plan.times did not ask
    const uint32_t *slots; // NULL where plan.slots did not ask
    const tg_column *columns;
} tg_batch;

typedef struct {
    uint32_t row;
    tg_text reason;
} tg_fault;
TG_LIST(tg_fault, tg_faults);

typedef struct {
    tg_text name, version, summary, params;
} tg_about;

typedef struct {
    tg_texts reads;
    uint8_t times, slots;
    tg_fields emits;
} tg_plan;

typedef struct {
    tg_text at, message;
} tg_issue;
TG_LIST(tg_issue, tg_issues);

typedef struct {
    tg_bytes keep;
    tg_faults faults;
} tg_kept;

typedef struct {
    uint32_t row;
    double score;
    uint8_t severity;
    tg_text reason;
} tg_finding;
TG_LIST(tg_finding, tg_findings);

typedef struct {
    tg_findings findings;
    uint8_t has_scores;
    tg_f64s scores;
    tg_faults faults;
} tg_found;

typedef struct {
    uint8_t has_origin;
    tg_u32s origin;
    tg_columns columns;
    tg_faults faults;
} tg_table;

// ---- Memory -------------------------------------------------------------------------------------------------------

#define TG_PAGE 65536u

// Fresh pages of zeros; a trap where the gateway gives no more.
static void *tg_grow(size_t pages) {
    size_t before = __builtin_wasm_memory_grow(0, pages);
    if (before == (size_t)-1) __builtin_trap();
    return (void *)(before * TG_PAGE);
}

// Room for one call, one thing after another in a chain of blocks, all forgotten when the gateway has read the answer.
typedef struct tg_block {
    struct tg_block *next;
    char *end;
} tg_block;
static tg_block *tg_first_block, *tg_block_in_use;
static char *tg_free_from;

static void tg_use(tg_block *block) {
    tg_block_in_use = block;
    tg_free_from = (char *)(block + 1);
}

static void *tg_alloc(size_t size, size_t align) {
    for (;;) {
        tg_block *block = tg_block_in_use;
        if (block) {
            char *at = (char *)(((size_t)tg_free_from + align - 1) & ~(align - 1));
            if (at <= block->end && size <= (size_t)(block->end - at)) {
                tg_free_from = at + size;
                return at;
            }
            if (block->next) {
                tg_use(block->next);
                continue;
            }
        }
        size_t pages = size / TG_PAGE + 2;
        tg_block *fresh = tg_grow(pages);
        char *end = (char *)fresh + pages * TG_PAGE;
        if (block && (char *)fresh == block->end) {
            block->end = end;
            continue;
        }
        fresh->end = end;
        if (block) block->next = fresh;
        else tg_first_block = fresh;
        tg_use(fresh);
    }
}

// COUNT things of a type, not cleared.
#define TG_NEW(type, count) ((type *)tg_alloc((count) * sizeof(type), _Alignof(type)))

static inline void tg_forget(void) {
    if (tg_first_block) tg_use(tg_first_block);
}

// The gateway's way to lay down arguments.
__attribute__((export_name("cabi_realloc"))) void *tg_realloc(void *old, size_t old_size, size_t align, size_t size) {
    void *at = tg_alloc(size, align);
    if (old_size) __builtin_memcpy(at, old, old_size < size ? old_size : size);
    return at;
}

// ---- Answers ------------------------------------------------------------------------------------------------------

static inline int tg_is_valid(const tg_column *column, uint32_t row) {
    return !column->has_valid || column->valid.items[row];
}

static inline int tg_same(tg_text one, tg_text other) {
    if (one.len != other.len) return 0;
    for (size_t at = 0; at < one.len; at++)
        if (one.items[at] != other.items[at]) return 0;
    return 1;
}

// A loop over the rows: eight a turn, for the sandbox looks at the clock once a turn.
#define TG_ROWS(row, batch) \
    _Pragma("clang loop unroll_count(8)") for (uint32_t row = 0, tg_end = (batch)->rows; row < tg_end; row++)

// Sets a row aside. `faults` begins as {0}; `rows` is how many there may be.
static inline void tg_set_aside(tg_faults *faults, uint32_t rows, uint32_t row, tg_text reason) {
    if (!faults->items) faults->items = TG_NEW(tg_fault, rows);
    faults->items[faults->len++] = (tg_fault){row, reason};
}

#define TG_ISSUES_MAX 32

static inline void tg_refuse(tg_issues *issues, tg_text at, tg_text message) {
    if (!issues->items) issues->items = TG_NEW(tg_issue, TG_ISSUES_MAX);
    if (issues->len < TG_ISSUES_MAX) issues->items[issues->len++] = (tg_issue){at, message};
}

// Refuses an input that lacks a field of that scalar.
static inline void tg_wants(tg_issues *issues, tg_fields fields, tg_text name, uint8_t scalar) {
    for (size_t at = 0; at < fields.len; at++)
        if (tg_same(fields.items[at].name, name)) {
            tg_text other = TG_TEXT("is of another type in the input");
            if (fields.items[at].scalar != scalar) tg_refuse(issues, name, other);
            return;
        }
    tg_text missing = TG_TEXT("the input has no such field");
    tg_refuse(issues, name, missing);
}

// ---- Parameters ---------------------------------------------------------------------------------------------------

typedef struct {
    tg_text name;
    double *value;
} tg_number;

// Past a JSON value of any kind.
static const char *tg_skip(const char *at, const char *end) {
    int depth = 0, quoted = 0;
    for (; at < end; at++) {
        char c = *at;
        if (quoted) {
            if (c == '\\') at++;
            else if (c == '"') quoted = 0;
        } else if (c == '"') quoted = 1;
        else if (c == '{' || c == '[') depth++;
        else if (depth && (c == '}' || c == ']')) depth--;
        else if (!depth && (c == ',' || c == '}')) break;
    }
    return at;
}

// A JSON number of at most 15 digits, times or by a power of ten of at most 22: both are exact as doubles, so one
// rounding gives the double nearest to what was written. Anything else is 0.
static int tg_read_number(const char *at, const char *end, double *value) {
    static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int negative = at < end && *at == '-', seen = 0, significant = 0, point = 0, power = 0;
    int64_t digits = 0;
    for (at += negative; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !point)); at++) {
        if (*at == '.') {
            point = 1;
            continue;
        }
        seen = 1;
        power -= point;
        digits = digits * 10 + (*at - '0');
        if (digits && ++significant > 15) return 0;
    }
    if (seen && at < end && (*at | 32) == 'e') {
        int sign = ++at < end && *at == '-' ? -1 : 1, exponent = 0;
        if (at < end && (*at == '-' || *at == '+')) at++;
        for (; at < end && *at >= '0' && *at <= '9' && exponent < 1000; at++) exponent = exponent * 10 + (*at - '0');
        power += sign * exponent;
    }
    if (!seen || at != end || power < -22 || power > 22) return 0;
    double number = power < 0 ? (double)digits / TENS[-power] : (double)digits * TENS[power];
    *value = negative ? -number : number;
    return 1;
}

// Reads parameters that are numbers into their places and refuses what is none, or is not known. The gateway writes a
// JSON object without spaces.
static inline void tg_read_params(tg_issues *issues, tg_text params, const tg_number *known, size_t count) {
    const char *at = params.items + 1, *end = params.items + params.len;
    while (at < end && *at == '"') {
        // "above": its quote makes room for the pointer /above.
        char *quote = (char *)at++;
        tg_text name = {at, 0};
        while (at < end && *at != '"') at++;
        name.len = (size_t)(at - name.items);
        *quote = '/';
        tg_text pointer = {quote, name.len + 1};
        const char *from = at + 2;
        at = tg_skip(from, end);
        size_t which = 0;
        while (which < count && !tg_same(known[which].name, name)) which++;
        tg_text unknown = TG_TEXT("there is no such parameter"), wrong = TG_TEXT("expected a number of at most 15 digits");
        if (which == count) tg_refuse(issues, pointer, unknown);
        else if (!tg_read_number(from, at, known[which].value)) tg_refuse(issues, pointer, wrong);
        at += at < end && *at == ',';
    }
}

// ---- State --------------------------------------------------------------------------------------------------------

// A struct a slot in pages of zeros that stay where they are. Untouched is all zeros; what is saved is the struct's
// bytes, little-endian as all of WebAssembly.
#define TG_SLOT_PAGES 8192u
static char *tg_slot_pages[TG_SLOT_PAGES];

static inline void *tg_slot(uint32_t slot, size_t size) {
    uint32_t a_page = (uint32_t)(TG_PAGE / size), page = slot / a_page;
    if (page >= TG_SLOT_PAGES) __builtin_trap();
    if (!tg_slot_pages[page]) tg_slot_pages[page] = tg_grow(1);
    return tg_slot_pages[page] + slot % a_page * size;
}

static inline int tg_is_touched(const char *state, size_t size) {
    for (size_t at = 0; at < size; at++)
        if (state[at]) return 1;
    return 0;
}

static inline tg_blobs tg_save(const uint32_t *slots, size_t count, size_t size) {
    uint32_t *offsets = TG_NEW(uint32_t, count + 1), end = 0;
    char *data = tg_alloc(count * size, 8);
    offsets[0] = 0;
    for (size_t at = 0; at < count; at++) {
        const char *state = tg_slot(slots[at], size);
        if (tg_is_touched(state, size)) {
            __builtin_memcpy(data + end, state, size);
            end += size;
        }
        offsets[at + 1] = end;
    }
    return (tg_blobs){{offsets, count + 1}, {(uint8_t *)data, end}};
}

typedef struct {
    uint8_t is_error;
    tg_text error;
} tg_loaded;

static inline tg_loaded tg_load(uint32_t version, const uint32_t *slots, size_t count, tg_blobs states, size_t size) {
    if (version != 1) return (tg_loaded){1, TG_TEXT("knows version 1 only")};
    for (size_t at = 0; at < count; at++) {
        uint32_t from = states.offsets.items[at], len = states.offsets.items[at + 1] - from;
        char *state = tg_slot(slots[at], size);
        if (len && len != size) return (tg_loaded){1, TG_TEXT("a state is of another size")};
        if (len) __builtin_memcpy(state, states.data.items + from, size);
        else __builtin_memset(state, 0, size);
    }
    return (tg_loaded){0, {0, 0}};
}

// ---- Exports ------------------------------------------------------------------------------------------------------

#define TG_EXPORT(name) __attribute__((export_name(name)))
#define TG_NAME(interface, function) "tidegate:plugin/" interface "@1.0.0#" function

// Exports `call` under a function's name; its answer stays where it is until the gateway has read it.
#define TG_ANSWERS(interface, function, answer, symbol, parameters, call) \
    TG_EXPORT(TG_NAME(interface, function)) const answer *symbol parameters { \
        static answer made; \
        made = call; \
        return &made; \
    } \
    TG_EXPORT("cabi_post_" TG_NAME(interface, function)) void symbol##_forget(const answer *made) { \
        (void)made; \
        tg_forget(); \
    }

#define TG_BATCH_FLAT \
    uint32_t rows, uint32_t has_times, const int64_t *times, size_t times_len, uint32_t has_slots, \
        const uint32_t *slots, size_t slots_len, const tg_column *columns, size_t columns_len
#define TG_BATCH \
    ((void)times_len, (void)slots_len, (void)columns_len, \
     &(tg_batch){rows, has_times ? times : NULL, has_slots ? slots : NULL, columns})

typedef struct {
    uint8_t is_error;
    union {
        tg_plan plan;
        tg_issues issues;
    } answer;
} tg_configured;

// describe: tg_about (void). configure: tg_issues (tg_text params, tg_fields fields, tg_plan *plan); no issues: the plan.
#define TG_PLUGIN(describe, configure) \
    static tg_configured tg_configure(tg_text params, tg_fields fields) { \
        tg_configured made = {0}; \
        tg_issues issues = configure(params, fields, &made.answer.plan); \
        if (issues.len) made = (tg_configured){1, {.issues = issues}}; \
        return made; \
    } \
    TG_ANSWERS("plugin", "describe", tg_about, tg_describes, (void), describe()) \
    TG_ANSWERS("plugin", "configure", tg_configured, tg_configures, \
               (const char *params, size_t params_len, tg_field *fields, size_t fields_len), \
               tg_configure((tg_text){params, params_len}, (tg_fields){fields, fields_len}))

// keep: tg_kept (const tg_batch *)
#define TG_FILTER(keep) TG_ANSWERS("filter", "keep", tg_kept, tg_keeps, (TG_BATCH_FLAT), keep(TG_BATCH))

// apply: tg_table (const tg_batch *)
#define TG_TRANSFORM(apply) TG_ANSWERS("transform", "apply", tg_table, tg_applies, (TG_BATCH_FLAT), apply(TG_BATCH))

// decode: tg_table (const tg_batch *)
#define TG_CODEC(decode) TG_ANSWERS("codec", "decode", tg_table, tg_decodes, (TG_BATCH_FLAT), decode(TG_BATCH))

// score: tg_found (const tg_batch *)
#define TG_DETECT(score) TG_ANSWERS("detect", "score", tg_found, tg_scores, (TG_BATCH_FLAT), score(TG_BATCH))

// update: tg_faults (const tg_batch *). merge: void (uint32_t into, uint32_t later).
// finish: tg_columns (const uint32_t *slots, const int64_t *starts, const int64_t *ends, size_t count).
#define TG_AGGREGATE(update, merge, finish) \
    TG_ANSWERS("aggregate", "update", tg_faults, tg_updates, (TG_BATCH_FLAT), update(TG_BATCH)) \
    TG_EXPORT(TG_NAME("aggregate", "merge")) void tg_merges(const uint32_t *into, size_t count, const uint32_t *later, \
                                                           size_t later_len) { \
        (void)later_len; \
        for (size_t at = 0; at < count; at++) merge(into[at], later[at]); \
        tg_forget(); \
    } \
    TG_ANSWERS("aggregate", "finish", tg_columns, tg_finishes, \
               (const uint32_t *slots, size_t count, const int64_t *starts, size_t starts_len, const int64_t *ends, \
                size_t ends_len), \
               ((void)starts_len, (void)ends_len, finish(slots, starts, ends, count)))

// State of a struct a slot, of version 1: TG_SLOT(struct seen, slot) is a slot's.
#define TG_SLOT(type, slot) ((type *)tg_slot(slot, sizeof(type)))
#define TG_STATE(type) \
    _Static_assert(sizeof(type) <= TG_PAGE, "a slot's state is at most TG_PAGE bytes"); \
    TG_EXPORT(TG_NAME("state", "version")) uint32_t tg_version(void) { return 1; } \
    TG_ANSWERS("state", "save", tg_blobs, tg_saves, (const uint32_t *slots, size_t count), \
               tg_save(slots, count, sizeof(type))) \
    TG_ANSWERS("state", "load", tg_loaded, tg_loads, \
               (uint32_t version, const uint32_t *slots, size_t count, const uint32_t *offsets, size_t offsets_len, \
                const uint8_t *data, size_t data_len), \
               tg_load(version, slots, count, (tg_blobs){{offsets, offsets_len}, {data, data_len}}, sizeof(type))) \
    TG_EXPORT(TG_NAME("state", "release")) void tg_releases(const uint32_t *slots, size_t count) { \
        for (size_t at = 0; at < count; at++) __builtin_memset(tg_slot(slots[at], sizeof(type)), 0, sizeof(type)); \
        tg_forget(); \
    }

#endif
