/* From plaintext to receipt: compute, commit to one output, gather q signatures, seal to the readers, end of life. The
 * output leaves only after q custodians bound themselves to it (DESIGN §9 "Commit"). */
#include "proto/enclave_state.h"

#include "proto/wire/pack.h"

#include <string.h>

/* --- Compute and commit -------------------------------------------------------------------------------------------------- */

static void on_ask_signed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct span packed;
    (void)work;
    if (enclave_signed(e, &packed, event)) enclave_ask_all(e, PHASE_COMMITS, packed);
}

static void on_core_signed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len != 64) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return;
    }
    memcpy(e->core_signature.bytes, event->bytes.data, 64);
    struct body_COMMIT_ASK body = {
        .run = e->run, .term = e->term, .commitment = e->commitment, .core = e->core_hash, .kem = e->kem};
    enclave_sign(e, KIND_COMMIT_ASK, &body, on_ask_signed);
}

static void sign_core(struct enclave *e)
{
    struct core_receipt core = {.consortium = e->consortium,
                                .run = e->run,
                                .term = e->term,
                                .compose = e->workflow->hash,
                                .bundle = e->bundle->hash,
                                .certificate = certificate_hash(e->certificate_bytes),
                                .evidence = enclave_evidence_hash(e->evidence),
                                .enclave = e->signing,
                                .kem = e->kem,
                                .challenge = e->challenge,
                                .commitment = e->commitment,
                                .engine = e->workflow->engine};
    struct buffer b = enclave_buffer(e, 4096);
    for (uint32_t i = 0; i < e->party_count; i++)
        if (e->party[i].counted) core.release[core.release_count++] = e->party[i].id;
    core_receipt_encode(&b, &core);
    ASSERT(!b.overflow);
    if (!enclave_keep(e, &e->core, buffer_span(&b))) return;
    e->core_hash = core_receipt_hash(e->core);
    enclave_ask(e, ENCLAVE_SIGN, on_core_signed, 0)->hash = e->core_hash;
}

static void on_commitment(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len != 32) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return;
    }
    memcpy(e->commitment.bytes, event->bytes.data, 32);
    struct hash32 expected = enclave_commitment(e->salt, e->output);
    if (ID_EQUAL(expected, e->commitment))
        sign_core(e);
    else
        enclave_fail(e, REFUSAL_ENCLAVE); /* a receipt nobody could verify */
}

static void on_computed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len == 0) {
        enclave_fail(e, REFUSAL_COMPUTATION);
        return;
    }
    if (event->bytes.len > e->workflow->output_bytes_max) {
        enclave_fail(e, REFUSAL_OUTPUT_TYPE);
        return;
    }
    if (!enclave_keep(e, &e->output, event->bytes)) return;
    enclave_ask(e, ENCLAVE_COMMITMENT, on_commitment, 0)->bytes = e->output;
}

void enclave_compute(struct enclave *e)
{
    e->phase = PHASE_COMPUTING;
    enclave_state_frame(e, RUN_COMPUTING);
    enclave_ask(e, ENCLAVE_COMPUTE, on_computed, 0)->workflow = e->workflow;
}

/* --- Release --------------------------------------------------------------------------------------------------------- */

static void on_ending_signed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (!enclave_signed(e, &e->ending, event)) return;
    struct buffer b = enclave_buffer(e, 1 + CAP_BODY_BYTES);
    struct body_RECEIPT body = {.run = e->run,
                                .records = e->bundle->ids,
                                .core = e->core,
                                .core_signature = e->core_signature,
                                .certificate = e->certificate_bytes,
                                .evidence = e->evidence,
                                .releases = e->releases,
                                .commits = e->commits,
                                .ending = e->ending,
                                .output = e->outputs};
    buffer_put_u8(&b, FRAME_RESULT);
    body_encode(&b, KIND_RECEIPT, &body);
    if (b.overflow) {
        enclave_fail(e, REFUSAL_FULL);
        return;
    }
    enclave_emit(e, ENCLAVE_FRAME)->bytes = buffer_span(&b);
    enclave_end(e);
}

static void sign_ending(struct enclave *e)
{
    struct buffer b = enclave_buffer(e, CAP_BODY_BYTES);
    pack_array(&b, 2 * e->reader_count);
    for (uint32_t i = 0; i < e->reader_count; i++) {
        pack_bin(&b, ID_SPAN(e->reader[i]));
        pack_bin(&b, e->reader_box[i]);
    }
    if (b.overflow) {
        enclave_fail(e, REFUSAL_FULL);
        return;
    }
    if (!enclave_keep(e, &e->outputs, buffer_span(&b))) return;
    struct body_ENDING body = {e->run, e->term, e->core_hash,
                               enclave_statements_hash(e->releases, e->commits),
                               enclave_outputs_hash(e->outputs)};
    enclave_sign(e, KIND_ENDING, &body, on_ending_signed);
}

static void on_output_sealed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    if (event->err != OK || event->bytes.len == 0) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return;
    }
    if (!enclave_keep(e, &e->reader_box[work->index], event->bytes)) return;
    if (++e->readers_sealed == e->reader_count) sign_ending(e);
}

static void seal_to_readers(struct enclave *e, struct span signature)
{
    struct buffer plain = enclave_buffer(e, READING_HEAD_BYTES + e->output.len);
    buffer_put(&plain, ID_SPAN(e->salt));
    buffer_put(&plain, signature);
    buffer_put(&plain, e->output);
    ASSERT(!plain.overflow);
    for (uint32_t i = 0; i < e->reader_count; i++) {
        const struct member *m = registry_member(e->bundle->registry, e->reader[i]);
        ASSERT(m != NULL); /* checked before anything was asked for */
        struct hash32 context = output_box_context(e->run, e->reader[i]);
        struct enclave_effect *effect = enclave_ask(e, ENCLAVE_SEAL, on_output_sealed, i);
        effect->kem = m->kem;
        effect->bytes = buffer_span(&plain);
        effect->context = enclave_copy(e, ID_SPAN(context));
    }
}

static void on_response_signed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len != 64)
        enclave_fail(e, REFUSAL_ENCLAVE);
    else
        seal_to_readers(e, event->bytes);
}

void enclave_committed(struct enclave *e)
{
    if (!enclave_statements(e, &e->commits)) return;
    e->phase = PHASE_SEALING;
    enclave_state_frame(e, RUN_COMMITTED);
    enclave_ask(e, ENCLAVE_SIGN, on_response_signed, 0)->hash = response_hash(e->run, e->output);
}
