// Count, mean, least and greatest reading of a window. Begin with this and make it yours; how a plugin in C is made up
// stands in tidegate.h.
#include "tidegate.h"

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
static const tg_text FIELD = TG_TEXT("temp"), NULL_REASON = TG_TEXT("temp is null");

// What comes out of a window; the gateway adds its device, start and end.
static const tg_field EMITS[] = {
    {TG_TEXT("count"), TG_INTEGER, TG_TEXT("")},
    {TG_TEXT("mean"), TG_FLOAT, TG_TEXT("Cel")},
    {TG_TEXT("least"), TG_FLOAT, TG_TEXT("Cel")},
    {TG_TEXT("greatest"), TG_FLOAT, TG_TEXT("Cel")},
};

// What is remembered of each window; the gateway keeps it over restarts. All zeros: nothing yet.
struct seen {
    double count, sum, least, greatest;
};

static tg_about describe(void) {
    return (tg_about){
        TG_TEXT("@name@"),
        TG_TEXT("0.1.0"),
        TG_TEXT("What it does, in one line: gateways show it"),
        TG_TEXT("{\"type\":\"object\",\"properties\":{},\"required\":[],\"additionalProperties\":false}"),
    };
}

static tg_issues configure(tg_text params, tg_fields fields, tg_plan *plan) {
    static tg_text reads[1];
    tg_issues issues = {0};
    tg_read_params(&issues, params, NULL, 0);
    tg_wants(&issues, fields, FIELD, TG_FLOAT);
    reads[0] = FIELD;
    plan->reads = (tg_texts){reads, 1};
    plan->slots = 1;
    plan->emits = (tg_fields){(tg_field *)EMITS, 4};
    return issues;
}

static inline void take_in(struct seen *seen, struct seen more) {
    if (seen->count == 0.0 || more.least < seen->least) seen->least = more.least;
    if (seen->count == 0.0 || more.greatest > seen->greatest) seen->greatest = more.greatest;
    seen->count = seen->count + more.count;
    seen->sum = seen->sum + more.sum;
}

// Takes in records. NaN is nothing.
static tg_faults update(const tg_batch *batch) {
    const tg_column *column = batch->columns;
    const double *temps = column->values.floats.items;
    tg_faults faults = {0};
    for (uint32_t row = 0; row < batch->rows; row++) {
        double temp = temps[row];
        if (!tg_is_valid(column, row)) tg_set_aside(&faults, batch->rows, row, NULL_REASON);
        else if (temp == temp)
            take_in(TG_SLOT(struct seen, batch->slots[row]), (struct seen){1.0, temp, temp, temp});
    }
    return faults;
}

// Takes in what was seen of later records.
static void merge(uint32_t into, uint32_t later) {
    struct seen more = *TG_SLOT(struct seen, later);
    if (more.count > 0.0) take_in(TG_SLOT(struct seen, into), more);
}

// A column of results, with nulls where a window saw nothing.
static tg_column floats(const double *values, const uint8_t *valid, size_t count) {
    return (tg_column){TG_FLOAT, {.floats = {values, count}}, 1, {valid, count}};
}

static tg_columns finish(const uint32_t *slots, const int64_t *starts, const int64_t *ends, size_t count) {
    (void)starts, (void)ends;
    int64_t *counts = TG_NEW(int64_t, count);
    double *means = TG_NEW(double, count), *least = TG_NEW(double, count), *greatest = TG_NEW(double, count);
    uint8_t *valid = TG_NEW(uint8_t, count);
    for (size_t at = 0; at < count; at++) {
        const struct seen *seen = TG_SLOT(struct seen, slots[at]);
        valid[at] = seen->count > 0.0;
        counts[at] = (int64_t)seen->count;
        means[at] = valid[at] ? seen->sum / seen->count : 0.0;
        least[at] = seen->least;
        greatest[at] = seen->greatest;
    }
    tg_column *columns = TG_NEW(tg_column, 4);
    columns[0] = (tg_column){TG_INTEGER, {.integers = {counts, count}}, 0, {0}};
    columns[1] = floats(means, valid, count);
    columns[2] = floats(least, valid, count);
    columns[3] = floats(greatest, valid, count);
    return (tg_columns){columns, 4};
}

TG_PLUGIN(describe, configure)
TG_AGGREGATE(update, merge, finish)
TG_STATE(struct seen)
