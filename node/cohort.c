#include "node/cohort.h"

#include "node/file.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

const struct cohort_column cohort_columns[COHORT_COLUMN_COUNT] = {
    {"patient_id", COLUMN_TEXT},
    {"age", COLUMN_INTEGER},
    {"sex", COLUMN_TEXT},
    {"systolic_bp", COLUMN_INTEGER},
    {"creatinine_umol_l", COLUMN_DECIMAL},
    {"egfr", COLUMN_INTEGER},
    {"diabetes", COLUMN_BOOLEAN},
    {"outcome", COLUMN_BOOLEAN},
};

const char cohort_notice[] =
    "SYNTHETIC DATA. No row of this file describes a person.\n\n"
    "A cardio-renal cohort drawn from a seed by perigee, for trying and testing. The same seed gives the "
    "same bytes.\n"
    "Hospitals differ on purpose; some patients have several visits (rows), and about three in a hundred are "
    "known to a\n"
    "second hospital under the same patient_id. Missing values are written NA.\n\n"
    "patient_id         made up; 12 hex digits after a p\n"
    "age                years at the visit\n"
    "sex                f or m\n"
    "systolic_bp        resting, mmHg\n"
    "creatinine_umol_l  serum creatinine, micromol per litre\n"
    "egfr               ml/min/1.73 m2, CKD-EPI 2021 from the creatinine of the row\n"
    "diabetes           0 or 1\n"
    "outcome            1: a major cardio-renal event within the follow-up; per patient\n";

/* --- Chance: a value is a function of what it is for, so no value moves when another is added. --------------------- */

enum cohort_draw {
    DRAW_ID,
    DRAW_VISITS,
    DRAW_AGE,
    DRAW_SEX,
    DRAW_DIABETES,
    DRAW_PRESSURE,
    DRAW_CREATININE,
    DRAW_KIDNEY,
    DRAW_OUTCOME,
    DRAW_VISIT_PRESSURE,
    DRAW_VISIT_CREATININE,
    DRAW_MISSING,
    DRAW_LATER,
};

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t draw(uint64_t key, enum cohort_draw what, uint32_t index)
{
    return mix(mix(key + UINT64_C(0x9e3779b97f4a7c15) * ((uint64_t)what + 1)) + index);
}

static bool draw_true(uint64_t key, enum cohort_draw what, uint32_t index, uint32_t per_mille)
{
    return draw(key, what, index) % 1000 < per_mille;
}

/* About normal: twelve uniforms of 16 bits. `sd` and the result in the caller's unit. */
static int32_t draw_normal(uint64_t key, enum cohort_draw what, uint32_t index, int32_t mean, int32_t sd)
{
    int64_t sum = 0;
    for (uint32_t word = 0; word < 3; word++) {
        uint64_t bits = mix(draw(key, what, index) + word + 1);
        for (uint32_t i = 0; i < 4; i++) sum += (int64_t)(bits >> (16 * i) & 0xffff);
    }
    return mean + (int32_t)((sum - 6 * 65535) * sd / 65536);
}

static int32_t clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* --- Fixed point: powers for the eGFR, 16 bits behind the point ---------------------------------------------------- */

/* log2 of value / 2^16. */
static int64_t log2_q16(uint64_t value)
{
    int64_t result = 0;
    ASSERT(value > 0 && value < UINT64_C(1) << 32);
    for (; value >= UINT64_C(2) << 16; value >>= 1) result += 1 << 16;
    for (; value < UINT64_C(1) << 16; value <<= 1) result -= 1 << 16;
    for (uint32_t bit = 0; bit < 16; bit++) { /* square: the next binary digit is whether it passes 2 */
        value = value * value >> 16;
        if (value < UINT64_C(2) << 16) continue;
        value >>= 1;
        result += INT64_C(1) << (15 - bit);
    }
    return result;
}

/* 2^(x / 2^16) in 2^-16. */
static uint64_t exp2_q16(int64_t x)
{
    /* 2^(2^-i) - 1 in 2^-32, for i from 1. */
    static const uint32_t root[16] = {1779033704, 812638371, 388727752, 190154448, 94047537, 46769127,
                                      23321248,   11644838,  5818478,   2908254,   1453881,  726879,
                                      363424,     181708,    90853,     45426};
    uint64_t value = UINT64_C(1) << 32;
    const int64_t whole = x >> 16;
    ASSERT(whole > -16 && whole < 15);
    for (uint32_t bit = 0; bit < 16; bit++) {
        if ((x >> (15 - bit) & 1) == 0) continue;
        value += (value >> 16) * root[bit] >> 16;
    }
    return whole < 0 ? value >> (16 - whole) : value >> 16 << whole;
}

/* 142 min(S/k, 1)^a max(S/k, 1)^-1.2 0.9938^age (1.012 for women); k and a by sex. tenths: creatinine in 0.1 umol/l. */
static int32_t egfr_of(int32_t tenths, int32_t age, bool male)
{
    const int64_t kappa_tenths = male ? 796 : 619; /* 0.9 and 0.7 mg/dl, 88.4 umol/l each */
    const int64_t ratio = log2_q16((uint64_t)tenths * 65536 / (uint64_t)kappa_tenths);
    const int64_t alpha = ratio > 0 ? -1200 : male ? -302 : -241;
    int64_t log = ratio * alpha / 1000;
    log += 468566;             /* log2 142 = 7.14975 */
    log -= 588 * (int64_t)age; /* log2 0.9938 = -0.0089726 */
    if (!male) log += 1128;    /* log2 1.012 = 0.0172093 */
    return (int32_t)((exp2_q16(log) + 32768) >> 16);
}

/* --- Persons ------------------------------------------------------------------------------------------------------ */

struct cohort_profile {
    int32_t age, age_sd;
    uint32_t male, diabetes; /* per mille */
    int32_t pressure;        /* mmHg more */
    int32_t creatinine;      /* 0.1 umol/l more */
    uint32_t missing;        /* creatinines, per mille */
};

static const struct cohort_profile profiles[COHORT_PROFILE_COUNT] = {
    {62, 13, 540, 180, 0, 0, 40},
    {66, 12, 510, 150, 3, 25, 60},
    {59, 14, 570, 120, -3, -15, 30},
    {57, 15, 520, 270, 5, 40, 90},
};

struct cohort_person {
    uint64_t key, id;
    int32_t age, pressure, tenths; /* tenths: creatinine in 0.1 umol/l */
    bool male, diabetes, outcome;
};

/* One patient in 33 is known to a second hospital: patient numbers agree between the two, and the person is made from
 * the number at the first of them. */
static uint32_t home_of(uint32_t silo, uint64_t patient)
{
    if (patient % 33 != 7) return silo;
    const uint32_t partner = silo ^ (uint32_t)(1 + patient / 33 % 3);
    return partner < silo ? partner : silo;
}

static uint64_t person_key(uint64_t seed, uint32_t silo, uint64_t patient)
{
    return mix(mix(mix(seed) + silo) + patient);
}

static uint32_t outcome_per_mille(const struct cohort_person *p)
{
    const int32_t egfr = egfr_of(p->tenths, p->age, p->male);
    int32_t risk = 40;
    if (p->age > 50) risk += 6 * (p->age - 50);
    if (p->pressure > 130) risk += 2 * (p->pressure - 130);
    if (egfr < 60) risk += 4 * (60 - egfr);
    if (p->diabetes) risk += 90;
    if (p->male) risk += 30;
    return (uint32_t)clamp(risk, 10, 850);
}

static struct cohort_person make_person(uint64_t seed, uint32_t silo, uint64_t patient)
{
    const uint32_t home = home_of(silo, patient);
    const struct cohort_profile *profile = &profiles[home % COHORT_PROFILE_COUNT];
    struct cohort_person p = {.key = person_key(seed, home, patient)};
    p.id = draw(p.key, DRAW_ID, 0) >> 16;
    p.age = clamp(draw_normal(p.key, DRAW_AGE, 0, profile->age, profile->age_sd), 18, 99);
    p.male = draw_true(p.key, DRAW_SEX, 0, profile->male);
    p.diabetes = draw_true(p.key, DRAW_DIABETES, 0, profile->diabetes * (uint32_t)clamp(p.age, 30, 80) / 60);
    p.pressure = draw_normal(p.key, DRAW_PRESSURE, 0, 106 + 2 * p.age / 5 + profile->pressure, 13);
    if (p.diabetes) p.pressure += 5;
    p.tenths = draw_normal(p.key, DRAW_CREATININE, 0, (p.male ? 820 : 670) + profile->creatinine, 110);
    if (p.age > 50) p.tenths += 3 * (p.age - 50);
    const uint32_t kidney = (p.diabetes ? 140u : 50u) + (p.age > 65 ? 80u : 0u);
    if (draw_true(p.key, DRAW_KIDNEY, 0, kidney)) /* kidney disease: 1.4 to 3.2 times as much */
        p.tenths = p.tenths * (14 + (int32_t)(draw(p.key, DRAW_KIDNEY, 1) % 19)) / 10;
    p.tenths = clamp(p.tenths, 300, 6000);
    p.outcome = draw_true(p.key, DRAW_OUTCOME, 0, outcome_per_mille(&p));
    return p;
}

/* --- Rows --------------------------------------------------------------------------------------------------------- */

static uint32_t visit_count(uint64_t key)
{
    const uint64_t chance = draw(key, DRAW_VISITS, 0) % 100;
    return chance < 80 ? 1 : chance < 95 ? 2 : 3;
}

static void put_hex48(struct buffer *out, uint64_t value)
{
    uint8_t bytes[8];
    store_u64(bytes, value);
    buffer_put_hex(out, span_make(bytes + 2, 6));
}

static void put_number(struct buffer *out, bool missing, int32_t value)
{
    buffer_put_text(out, ",");
    if (missing)
        buffer_put_text(out, COHORT_MISSING);
    else
        buffer_put_decimal(out, value);
}

static void put_creatinine(struct buffer *out, bool missing, int32_t tenths)
{
    put_number(out, missing, tenths / 10);
    if (missing) return;
    buffer_put_text(out, ".");
    buffer_put_decimal(out, tenths % 10);
}

/* `key` is of this hospital: measurements and gaps differ between hospitals also for one person. */
static void put_row(struct buffer *out, const struct cohort_person *p, const struct cohort_profile *profile,
                    uint64_t key, uint32_t visit)
{
    const int32_t age = clamp(p->age + (visit > 0 && draw_true(key, DRAW_LATER, visit, 400) ? 1 : 0), 18, 99);
    const int32_t pressure = clamp(draw_normal(key, DRAW_VISIT_PRESSURE, visit, p->pressure, 7), 80, 230);
    const int32_t tenths = clamp(draw_normal(key, DRAW_VISIT_CREATININE, visit, p->tenths, 40), 300, 6000);
    const bool no_creatinine = draw_true(key, DRAW_MISSING, 3 * visit, profile->missing);
    buffer_put_text(out, "p");
    put_hex48(out, p->id);
    put_number(out, false, age);
    buffer_put_text(out, p->male ? ",m" : ",f");
    put_number(out, draw_true(key, DRAW_MISSING, 3 * visit + 1, 20), pressure);
    put_creatinine(out, no_creatinine, tenths);
    put_number(out, no_creatinine, egfr_of(tenths, age, p->male));
    put_number(out, draw_true(key, DRAW_MISSING, 3 * visit + 2, 10), p->diabetes);
    put_number(out, false, p->outcome);
    buffer_put_text(out, "\n");
}

void cohort_begin(struct cohort *c, uint64_t seed, uint32_t silo)
{
    *c = (struct cohort){seed, silo, 0, 0};
}

void cohort_next(struct cohort *c, struct buffer *out)
{
    const struct cohort_person person = make_person(c->seed, c->silo, c->patient);
    const uint64_t key = person_key(c->seed, c->silo, c->patient) + 1;
    put_row(out, &person, &profiles[c->silo % COHORT_PROFILE_COUNT], key, c->visit);
    c->visit++;
    if (c->visit < visit_count(key)) return;
    c->visit = 0;
    c->patient++;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static void put_header(struct buffer *out)
{
    for (uint32_t i = 0; i < COHORT_COLUMN_COUNT; i++) {
        buffer_put_text(out, cohort_columns[i].name);
        buffer_put_text(out, i + 1 < COHORT_COLUMN_COUNT ? "," : "\n");
    }
}

static enum err write_rows(FILE *file, struct cohort *c, uint64_t row_count)
{
    uint8_t bytes[256];
    struct buffer line = BUFFER_OF(bytes);
    put_header(&line);
    for (uint64_t row = 0;; row++) {
        ASSERT(!line.overflow);
        if (fwrite(line.data, 1, line.len, file) != line.len) return file_error();
        if (row == row_count) return OK;
        line.len = 0;
        cohort_next(c, &line);
    }
}

enum err cohort_write(const char *path, uint64_t seed, uint32_t silo, uint64_t row_count)
{
    struct cohort c;
    char notice[PATH_MAX];
    if (snprintf(notice, sizeof notice, "%s.txt", path) >= (int)sizeof notice) return ERR_RANGE;
    FILE *file = fopen(path, "wxe");
    if (file == NULL) return file_error();
    cohort_begin(&c, seed, silo);
    enum err err = write_rows(file, &c, row_count);
    if (fclose(file) != 0 && err == OK) err = file_error();
    if (err == OK) err = file_write(notice, span_text(cohort_notice), 0644, false);
    if (err != OK) (void)unlink(path);
    return err;
}
