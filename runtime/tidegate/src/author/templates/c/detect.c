// Finds readings far from what their device told of late. Begin with this and make it yours; how a plugin in C is made up
// stands in tidegate.h.
#include "tidegate.h"

// The field that is read: only what is read crosses into the sandbox. A record in which it is null is set aside.
static const tg_text FIELD = TG_TEXT("temp"), NULL_REASON = TG_TEXT("temp is null");
static const tg_text ABOVE = TG_TEXT("temp is above what the device told of late");
static const tg_text BELOW = TG_TEXT("temp is below what the device told of late");

// The weight of the newest reading, how many come before anything is unusual, the least deviation taken for real.
static const double ALPHA = 0.1, WARMUP = 10.0, LEAST_DEVIATION = 0.001;

// What the configuration may set, as configure() reads it.
static double threshold;

// What is remembered of each device; the gateway keeps it over restarts. All zeros: nothing yet.
struct recent {
    double seen, mean, variance;
};

static tg_about describe(void) {
    return (tg_about){
        TG_TEXT("@name@"),
        TG_TEXT("0.1.0"),
        TG_TEXT("What it does, in one line: gateways show it"),
        TG_TEXT("{\"type\":\"object\",\"properties\":{"
                "\"threshold\":{\"type\":\"number\",\"default\":4.0,"
                "\"description\":\"So many deviations from the recent mean are unusual\"}},"
                "\"required\":[],\"additionalProperties\":false}"),
    };
}

static tg_issues configure(tg_text params, tg_fields fields, tg_plan *plan) {
    static tg_text reads[1];
    const tg_number numbers[] = {{TG_TEXT("threshold"), &threshold}};
    tg_issues issues = {0};
    threshold = 4;
    tg_read_params(&issues, params, numbers, 1);
    tg_wants(&issues, fields, FIELD, TG_FLOAT);
    reads[0] = FIELD;
    plan->reads = (tg_texts){reads, 1};
    plan->slots = 1;
    return issues;
}

// Exponentially weighted; the first readings weigh alike, so that the first of all does not linger.
static inline void take_in(struct recent *recent, double temp) {
    double first = 1.0 / (recent->seen + 1.0);
    double alpha = first > ALPHA ? first : ALPHA;
    double delta = temp - recent->mean;
    double step = alpha * delta;
    recent->mean = recent->mean + step;
    recent->variance = (1.0 - alpha) * (recent->variance + step * delta);
    recent->seen = recent->seen + 1.0;
}

static tg_found score(const tg_batch *batch) {
    const tg_column *column = batch->columns;
    const double *temps = column->values.floats.items;
    tg_finding *findings = NULL;
    size_t found = 0;
    tg_faults faults = {0};
    for (uint32_t row = 0; row < batch->rows; row++) {
        double temp = temps[row];
        if (!tg_is_valid(column, row)) {
            tg_set_aside(&faults, batch->rows, row, NULL_REASON);
            continue;
        }
        // Infinities and NaN.
        if (!(temp - temp == 0.0)) continue;
        struct recent *recent = TG_SLOT(struct recent, batch->slots[row]);
        double spread = __builtin_sqrt(recent->variance);
        double deviation = spread > LEAST_DEVIATION ? spread : LEAST_DEVIATION;
        double score = (temp - recent->mean) / deviation, size = __builtin_fabs(score);
        if (!(recent->seen >= WARMUP && size >= threshold)) {
            take_in(recent, temp);
            continue;
        }
        if (!findings) findings = TG_NEW(tg_finding, batch->rows);
        findings[found++] = (tg_finding){row, score, size >= 2.0 * threshold ? 75 : 50, score > 0.0 ? ABOVE : BELOW};
        // Taken in as if it lay at the threshold: a spike blinds nobody, and a change that lasts is learned.
        take_in(recent, recent->mean + (score > 0.0 ? threshold : -threshold) * deviation);
    }
    return (tg_found){{findings, found}, 0, {0}, faults};
}

TG_PLUGIN(describe, configure)
TG_DETECT(score)
TG_STATE(struct recent)
