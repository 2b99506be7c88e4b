#include "crypto/evidence.h"

#include "crypto/hash.h"
#include "crypto/identity.h"
#include "proto/base/panic.h"

#include <string.h>

enum {
    EVIDENCE_VERSION = 1,
    EVIDENCE_MODEL_BYTES = 48,
    EVIDENCE_GPU_BYTES = 1 + EVIDENCE_MODEL_BYTES + 32, /* mode, model, nonce */
    EVIDENCE_SIGNED_BYTES = 2 + 2 + 3 * 32 + 8 + 1 + EVIDENCE_GPU_BYTES,
    EVIDENCE_BYTES = EVIDENCE_SIGNED_BYTES + 64,
};

/* SIMULATED. This "secret" is public on purpose: anybody can make such evidence, so it proves nothing. */
static const struct identity_secret evidence_simulated_root_secret = {
    {'S', 'I', 'M', 'U', 'L', 'A', 'T', 'E', 'D', '-', 'T', 'E', 'S', 'T', '-', 'R',
     'O', 'O', 'T', '-', 'N', 'O', 'T', '-', 'A', '-', 'S', 'E', 'C', 'R', 'E', 'T'}};
static const struct node_id evidence_simulated_root = {
    {0x7e, 0x74, 0x00, 0xdc, 0x03, 0x99, 0x17, 0x21, 0x3f, 0xc6, 0x72, 0x56, 0xea, 0x7f, 0x30, 0x3e,
     0xd5, 0xce, 0xee, 0x9e, 0xe5, 0x7a, 0xbd, 0x3c, 0x28, 0x1a, 0xe5, 0x1d, 0x24, 0xb0, 0xf7, 0x54}};

/* PROTOCOL.md "Simulated evidence". */
struct evidence_view {
    uint16_t version, kind;
    struct hash32 measurement, platform_id, report_data;
    uint64_t time_ms;
    uint8_t has_gpu, gpu_confidential;
    char gpu_model[EVIDENCE_MODEL_BYTES];
    struct hash32 gpu_nonce;
    struct span gpu, signed_part;
    struct signature signature;
};

static struct hash32 evidence_gpu_nonce(struct hash32 binding)
{
    return HASH_FRAMED("perigee/gpu/v1", ID_SPAN(binding));
}

/* The report data binds the processor's evidence to the run and to this very GPU evidence. */
static struct hash32 evidence_report_data(struct hash32 binding, bool has_gpu, struct span gpu)
{
    struct hash32 gpu_hash = {{0}};
    if (has_gpu) gpu_hash = HASH_FRAMED("perigee/gpu-evidence/v1", gpu);
    return HASH_FRAMED("perigee/cpu/v1", ID_SPAN(binding), ID_SPAN(gpu_hash));
}

static struct hash32 evidence_signed_hash(struct span signed_part)
{
    return HASH_FRAMED("perigee/simulated-evidence/v1", signed_part);
}

/* Printable ASCII, then zeros to the end, at least one. */
static bool evidence_model_valid(const char model[EVIDENCE_MODEL_BYTES])
{
    size_t len = strnlen(model, EVIDENCE_MODEL_BYTES);
    if (len == EVIDENCE_MODEL_BYTES) return false;
    for (size_t i = 0; i < len; i++)
        if (model[i] < ' ' || model[i] > '~') return false;
    for (size_t i = len; i < EVIDENCE_MODEL_BYTES; i++)
        if (model[i] != 0) return false;
    return true;
}

static bool evidence_gpu_valid(const struct evidence_view *v)
{
    static const uint8_t none[EVIDENCE_GPU_BYTES];
    if (v->has_gpu > 1 || v->gpu_confidential > 1) return false;
    if (v->has_gpu == 0) return span_equal(v->gpu, SPAN_OF(none));
    return evidence_model_valid(v->gpu_model) && v->gpu_model[0] != 0;
}

static enum err evidence_parse_gpu(struct evidence_view *v, struct cursor *c)
{
    struct cursor gpu;
    TRY(cursor_u8(c, &v->has_gpu));
    TRY(cursor_take(c, &v->gpu, EVIDENCE_GPU_BYTES));
    gpu = cursor_make(v->gpu);
    TRY(cursor_u8(&gpu, &v->gpu_confidential));
    TRY(cursor_copy(&gpu, v->gpu_model, sizeof v->gpu_model));
    TRY(cursor_copy(&gpu, v->gpu_nonce.bytes, 32));
    return cursor_end(&gpu);
}

static enum err evidence_parse(struct evidence_view *v, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    TRY(cursor_u16(&c, &v->version));
    TRY(cursor_u16(&c, &v->kind));
    TRY(cursor_copy(&c, v->measurement.bytes, 32));
    TRY(cursor_copy(&c, v->platform_id.bytes, 32));
    TRY(cursor_copy(&c, v->report_data.bytes, 32));
    TRY(cursor_u64(&c, &v->time_ms));
    TRY(evidence_parse_gpu(v, &c));
    v->signed_part = (struct span){bytes.data, EVIDENCE_SIGNED_BYTES};
    TRY(cursor_copy(&c, v->signature.bytes, sizeof v->signature.bytes));
    return cursor_end(&c);
}

/* Evidence from the future is no older than any other: it says that two clocks disagree. */
static const char *evidence_age_refusal(uint64_t time_ms, uint64_t now_ms, const struct evidence_policy *p)
{
    if (time_ms > now_ms) return time_ms - now_ms <= p->max_ahead_ms ? NULL : "ahead";
    return now_ms - time_ms <= p->max_age_ms ? NULL : "age";
}

static bool evidence_measurement_valid(struct hash32 measurement, const struct evidence_policy *policy)
{
    ASSERT(policy->measurement_count <= EVIDENCE_MEASUREMENTS_MAX);
    for (uint32_t i = 0; i < policy->measurement_count; i++)
        if (ID_EQUAL(measurement, policy->measurement[i])) return true;
    return false;
}

/* The first thing that is wrong, or NULL. Cheap checks come first, the signature last. */
static const char *evidence_refusal(const struct evidence_view *v, struct hash32 binding, uint64_t now_ms,
                                    const struct evidence_policy *policy)
{
    if (v->kind != EVIDENCE_SIMULATED || !policy->allow_simulated) return "kind";
    if (v->version != EVIDENCE_VERSION || !evidence_gpu_valid(v)) return "canonical";
    if (policy->need_gpu && (v->has_gpu == 0 || v->gpu_confidential == 0)) return "gpu";
    const char *age = evidence_age_refusal(v->time_ms, now_ms, policy);
    if (age != NULL) return age;
    if (!evidence_measurement_valid(v->measurement, policy)) return "measurement";
    if (v->has_gpu == 1 && !ID_EQUAL(v->gpu_nonce, evidence_gpu_nonce(binding))) return "gpu-nonce";
    if (!ID_EQUAL(v->report_data, evidence_report_data(binding, v->has_gpu == 1, v->gpu)))
        return "report-data";
    if (identity_verify(evidence_simulated_root, evidence_signed_hash(v->signed_part), &v->signature) != OK)
        return "signature";
    return NULL;
}

struct evidence_policy evidence_policy_make(bool allow_simulated, bool need_gpu, uint64_t max_age_ms,
                                            uint64_t max_ahead_ms, struct span measurements)
{
    struct evidence_policy policy = {.allow_simulated = allow_simulated,
                                     .need_gpu = need_gpu,
                                     .max_age_ms = max_age_ms,
                                     .max_ahead_ms = max_ahead_ms};
    size_t count = measurements.len / 32;
    policy.measurement_count =
        (uint32_t)(count < EVIDENCE_MEASUREMENTS_MAX ? count : EVIDENCE_MEASUREMENTS_MAX);
    for (uint32_t i = 0; i < policy.measurement_count; i++)
        memcpy(policy.measurement[i].bytes, measurements.data + (size_t)i * 32, 32);
    return policy;
}

enum err evidence_check(struct evidence_result *out, const char **field, struct span bytes,
                        struct hash32 binding, uint64_t now_ms, const struct evidence_policy *policy)
{
    struct evidence_view v;
    memset(out, 0, sizeof *out);
    *field = "canonical";
    if (evidence_parse(&v, bytes) != OK) return ERR_EVIDENCE;
    *field = evidence_refusal(&v, binding, now_ms, policy);
    if (*field != NULL) return ERR_EVIDENCE;
    out->kind = EVIDENCE_SIMULATED;
    out->measurement = v.measurement;
    out->platform_id = v.platform_id;
    out->has_gpu = v.has_gpu == 1;
    out->gpu_confidential = v.gpu_confidential == 1;
    out->time_ms = v.time_ms;
    memcpy(out->gpu_model, v.gpu_model, sizeof out->gpu_model);
    return OK;
}

static void evidence_put_gpu(struct buffer *b, const struct evidence_facts *facts, struct hash32 binding)
{
    struct hash32 nonce = {{0}};
    if (facts->has_gpu) nonce = evidence_gpu_nonce(binding);
    buffer_put_u8(b, facts->gpu_confidential);
    buffer_put(b, SPAN_OF(facts->gpu_model));
    buffer_put(b, ID_SPAN(nonce));
}

static bool evidence_facts_valid(const struct evidence_facts *facts)
{
    if (!evidence_model_valid(facts->gpu_model)) return false;
    if (facts->has_gpu) return facts->gpu_model[0] != 0;
    return !facts->gpu_confidential && facts->gpu_model[0] == 0;
}

enum err evidence_simulate(struct buffer *out, const struct evidence_facts *facts, struct hash32 binding)
{
    uint8_t bytes[EVIDENCE_BYTES], gpu_bytes[EVIDENCE_GPU_BYTES];
    struct buffer b = BUFFER_OF(bytes), gpu = BUFFER_OF(gpu_bytes);
    struct hash32 report_data;
    struct signature signature;
    if (!evidence_facts_valid(facts)) return ERR_RANGE;
    evidence_put_gpu(&gpu, facts, binding);
    report_data = evidence_report_data(binding, facts->has_gpu, buffer_span(&gpu));
    buffer_put_u16(&b, EVIDENCE_VERSION);
    buffer_put_u16(&b, EVIDENCE_SIMULATED);
    buffer_put(&b, ID_SPAN(facts->measurement));
    buffer_put(&b, ID_SPAN(facts->platform_id));
    buffer_put(&b, ID_SPAN(report_data));
    buffer_put_u64(&b, facts->time_ms);
    buffer_put_u8(&b, facts->has_gpu);
    buffer_put(&b, buffer_span(&gpu));
    ASSERT(!gpu.overflow && !b.overflow && b.len == EVIDENCE_SIGNED_BYTES);
    TRY(identity_sign(&signature, &evidence_simulated_root_secret, evidence_signed_hash(buffer_span(&b))));
    buffer_put(&b, SPAN_OF(signature.bytes));
    buffer_put(out, buffer_span(&b));
    return buffer_done(out);
}
