/* What an enclave signs and binds: encodings and hashes that custodians, enclaves and verifiers compute alike. */
#include "proto/enclave.h"

#include "proto/wire/pack.h"

#include <string.h>

enum { CORE_RECEIPT_FIELDS = 13 };

void core_receipt_encode(struct buffer *out, const struct core_receipt *r)
{
    pack_array(out, CORE_RECEIPT_FIELDS);
    pack_bin(out, ID_SPAN(r->consortium));
    pack_bin(out, ID_SPAN(r->run));
    pack_uint(out, r->term);
    pack_bin(out, ID_SPAN(r->compose));
    pack_bin(out, ID_SPAN(r->bundle));
    pack_bin(out, ID_SPAN(r->certificate));
    pack_bin(out, ID_SPAN(r->evidence));
    pack_bin(out, ID_SPAN(r->enclave));
    pack_bin(out, ID_SPAN(r->kem));
    pack_bin(out, ID_SPAN(r->challenge));
    pack_array(out, r->release_count);
    for (uint32_t i = 0; i < r->release_count; i++) pack_bin(out, ID_SPAN(r->release[i]));
    pack_bin(out, ID_SPAN(r->commitment));
    pack_str(out, r->engine);
}

enum err core_receipt_decode(struct core_receipt *out, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    TRY(unpack_array_of(&c, CORE_RECEIPT_FIELDS));
    TRY(unpack_fixed(&c, out->consortium.bytes, 32));
    TRY(unpack_fixed(&c, out->run.bytes, 32));
    TRY(unpack_uint(&c, UINT32_MAX, &out->term));
    TRY(unpack_fixed(&c, out->compose.bytes, 32));
    TRY(unpack_fixed(&c, out->bundle.bytes, 32));
    TRY(unpack_fixed(&c, out->certificate.bytes, 32));
    TRY(unpack_fixed(&c, out->evidence.bytes, 32));
    TRY(unpack_fixed(&c, out->enclave.bytes, 32));
    TRY(unpack_fixed(&c, out->kem.bytes, 32));
    TRY(unpack_fixed(&c, out->challenge.bytes, 32));
    TRY(unpack_array(&c, RELEASES_MAX, &out->release_count));
    for (uint32_t i = 0; i < out->release_count; i++) TRY(unpack_fixed(&c, out->release[i].bytes, 32));
    TRY(unpack_fixed(&c, out->commitment.bytes, 32));
    TRY(unpack_str(&c, CAP_NAME, &out->engine));
    return cursor_end(&c);
}

struct hash32 core_receipt_hash(struct span bytes)
{
    return HASH_FRAMED("perigee/core-receipt/v1", bytes);
}

struct hash32 enclave_evidence_hash(struct span evidence)
{
    return HASH_FRAMED("perigee/evidence/v1", evidence);
}

struct hash32 enclave_statements_hash(struct span releases, struct span commits)
{
    return HASH_FRAMED("perigee/statements/v1", releases, commits);
}

struct hash32 enclave_outputs_hash(struct span outputs)
{
    return HASH_FRAMED("perigee/outputs/v1", outputs);
}

uint64_t enclave_median_ms(uint64_t *time_ms, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint64_t moved = time_ms[i];
        uint32_t at = i;
        for (; at > 0 && time_ms[at - 1] > moved; at--) time_ms[at] = time_ms[at - 1];
        time_ms[at] = moved;
    }
    return count > 0 ? time_ms[count / 2] : 0;
}

struct hash32 enclave_commitment(struct hash32 salt, struct span output)
{
    return HASH_FRAMED("perigee/output/v1", ID_SPAN(salt), output);
}

struct hash32 enclave_binding(struct consortium_id consortium, struct run_id run, uint64_t term,
                              struct compose_hash compose, struct hash32 certificate, struct node_id signing,
                              struct kem_public kem)
{
    uint8_t number[8];
    store_u64(number, term);
    return HASH_FRAMED("perigee/enclave/v1", ID_SPAN(consortium), ID_SPAN(run), SPAN_OF(number),
                       ID_SPAN(compose), ID_SPAN(certificate), ID_SPAN(signing), ID_SPAN(kem));
}

struct hash32 relay_context(struct run_id run, uint64_t term, uint32_t party, uint8_t direction)
{
    uint8_t number[8], index[4];
    store_u64(number, term);
    store_u32(index, party);
    return HASH_FRAMED("perigee/relay/v1", ID_SPAN(run), SPAN_OF(number), SPAN_OF(index),
                       span_make(&direction, 1));
}

enum err enclave_answer_view(struct buffer *out, struct span *shares, struct span plain)
{
    struct body_SHARE_ANSWER answer;
    *shares = SPAN_NONE;
    if (plain.len == 0) return ERR_TRUNCATED;
    if (plain.data[0] != ANSWER_SHARES && plain.data[0] != ANSWER_HALF) {
        buffer_put(out, plain);
        return buffer_done(out);
    }
    TRY(body_decode(&answer, KIND_SHARE_ANSWER, span_make(plain.data + 1, plain.len - 1)));
    struct hash32 hash = sha256(answer.shares);
    buffer_put_u8(out, plain.data[0]);
    buffer_put(out, ID_SPAN(hash));
    buffer_put(out, answer.release);
    *shares = answer.shares;
    return buffer_done(out);
}

struct hash32 output_box_context(struct run_id run, struct node_id reader)
{
    return HASH_FRAMED("perigee/output-box/v1", ID_SPAN(run), ID_SPAN(reader));
}

enum err reading_open(struct reading *out, struct span plain)
{
    if (plain.len <= READING_HEAD_BYTES) return ERR_TRUNCATED;
    memcpy(out->salt.bytes, plain.data, sizeof out->salt.bytes);
    memcpy(out->signature.bytes, plain.data + sizeof out->salt.bytes, sizeof out->signature.bytes);
    out->output = span_make(plain.data + READING_HEAD_BYTES, plain.len - READING_HEAD_BYTES);
    return OK;
}

void response_text(char out[RESPONSE_TEXT_CHARS + 1], struct run_id run, struct span output)
{
    struct hash32 response = sha256(output);
    hex_encode(out, run.bytes, sizeof run.bytes);
    out[64] = ':';
    hex_encode(out + 65, response.bytes, sizeof response.bytes);
}

struct hash32 response_hash(struct run_id run, struct span output)
{
    char text[RESPONSE_TEXT_CHARS + 1];
    response_text(text, run, output);
    return HASH_FRAMED("perigee/response/v1", span_make((const uint8_t *)text, RESPONSE_TEXT_CHARS));
}

void enclave_start_frame(struct buffer *out, struct consortium_id consortium, struct run_id run,
                         uint64_t term, struct span certificate, struct span bundle)
{
    buffer_put_u8(out, FRAME_START);
    pack_array(out, 5);
    pack_bin(out, ID_SPAN(consortium));
    pack_bin(out, ID_SPAN(run));
    pack_uint(out, term);
    pack_bin(out, certificate);
    pack_bin(out, bundle);
}
