// Keeps warm readings. Begin with this and make it yours; how a plugin in C is made up stands in tidegate.h.
#include "tidegate.h"

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
static const tg_text FIELD = TG_TEXT("temp"), NULL_REASON = TG_TEXT("temp is null");

// What the configuration may set, as configure() reads it.
static double above, below;

static tg_about describe(void) {
    return (tg_about){
        TG_TEXT("@name@"),
        TG_TEXT("0.1.0"),
        TG_TEXT("What it does, in one line: gateways show it"),
        TG_TEXT("{\"type\":\"object\",\"properties\":{"
                "\"above\":{\"type\":\"number\",\"default\":20.0,\"description\":\"Readings above this are kept\"},"
                "\"below\":{\"type\":\"number\",\"description\":\"And below this, where it is given\"}},"
                "\"required\":[],\"additionalProperties\":false}"),
    };
}

static tg_issues configure(tg_text params, tg_fields fields, tg_plan *plan) {
    static tg_text reads[1];
    const tg_number numbers[] = {{TG_TEXT("above"), &above}, {TG_TEXT("below"), &below}};
    tg_issues issues = {0};
    above = 20, below = __builtin_nan("");
    tg_read_params(&issues, params, numbers, 2);
    tg_wants(&issues, fields, FIELD, TG_FLOAT);
    reads[0] = FIELD;
    plan->reads = (tg_texts){reads, 1};
    return issues;
}

// Whether a record is kept. A limit that is not given is NaN, which nothing is below of or not.
static inline int is_kept(double temp) { return temp > above && !(temp >= below); }

static tg_kept keep(const tg_batch *batch) {
    const tg_column *column = batch->columns;
    const double *temps = column->values.floats.items;
    uint8_t *keep = TG_NEW(uint8_t, batch->rows);
    tg_faults faults = {0};
    TG_ROWS(row, batch) keep[row] = is_kept(temps[row]);
    if (column->has_valid)
        TG_ROWS(row, batch)
            if (!column->valid.items[row]) tg_set_aside(&faults, batch->rows, row, NULL_REASON);
    return (tg_kept){{keep, batch->rows}, faults};
}

TG_PLUGIN(describe, configure)
TG_FILTER(keep)
