#include "node/opening.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "proto/wire/pack.h"

#include <stdlib.h>
#include <string.h>

struct opening {
    struct opening_options options;
    struct run_id run;
    struct node_id enclave;
    struct hash32 commitment;
    struct reading reading; /* of `plain` */
    uint8_t *plain;
    size_t plain_len;
};

static void end(struct opening *o, enum err err)
{
    o->options.done(o->options.context, err, err == OK ? &o->reading : NULL);
    if (o->plain != NULL) secret_wipe(o->plain, o->plain_len);
    free(o->plain);
    free(o);
}

static void on_verified(void *context, uint64_t token, enum err err, struct span output)
{
    (void)token, (void)output;
    end(context, err);
}

/* Committed to, it is the output of this run; who signed it as such is the one thing left. */
static void verify(struct opening *o)
{
    uint8_t bytes[VERIFY_PART_BYTES];
    struct buffer part = BUFFER_OF(bytes);
    struct hash32 message = response_hash(o->run, o->reading.output);
    buffer_put(&part, ID_SPAN(o->enclave));
    buffer_put(&part, ID_SPAN(message));
    buffer_put(&part, SPAN_OF(o->reading.signature.bytes));
    ASSERT(!part.overflow);
    struct crypto_job job = {.op = CRYPTO_VERIFY, .parts = buffer_span(&part), .part_count = 1};
    o->options.keyed(o->options.keys, &job, on_verified, o);
}

static enum err take(struct opening *o, struct span plain)
{
    o->plain = malloc(plain.len + 1);
    if (o->plain == NULL) return ERR_NO_MEMORY;
    if (plain.len > 0) memcpy(o->plain, plain.data, plain.len);
    o->plain_len = plain.len;
    TRY(reading_open(&o->reading, span_make(o->plain, plain.len)));
    struct hash32 commitment = enclave_commitment(o->reading.salt, o->reading.output);
    return ID_EQUAL(commitment, o->commitment) ? OK : ERR_HASH;
}

static void on_opened(void *context, uint64_t token, enum err err, struct span plain)
{
    (void)token;
    struct opening *o = context;
    if (err == OK) err = take(o, plain);
    if (err == OK)
        verify(o);
    else
        end(o, err);
}

/* The box addressed to this node: output = [reader, box, reader, box, ...]. */
static enum err own_box(struct span *out, struct span boxes, struct node_id self)
{
    struct cursor c = cursor_make(boxes);
    uint32_t count = 0;
    TRY(unpack_array(&c, 2 * (CAP_REQUESTERS + 1), &count));
    for (uint32_t i = 0; i + 1 < count; i += 2) {
        struct node_id reader;
        TRY(unpack_fixed(&c, reader.bytes, 32));
        TRY(unpack_bin(&c, 65536, out));
        if (ID_EQUAL(reader, self)) return OK;
    }
    return ERR_NOT_FOUND;
}

static enum err read_receipt(struct opening *o, struct span *box, const struct body_RECEIPT *receipt)
{
    struct core_receipt core;
    TRY(own_box(box, receipt->output, o->options.self));
    TRY(core_receipt_decode(&core, receipt->core));
    o->run = receipt->run;
    o->enclave = core.enclave;
    o->commitment = core.commitment;
    return ID_EQUAL(core.run, receipt->run) ? OK : ERR_CONFLICT;
}

void opening_start(const struct opening_options *options, const struct body_RECEIPT *receipt)
{
    struct span box = SPAN_NONE;
    struct opening *o = calloc(1, sizeof *o);
    if (o == NULL) {
        options->done(options->context, ERR_NO_MEMORY, NULL);
        return;
    }
    o->options = *options;
    enum err err = read_receipt(o, &box, receipt);
    if (err != OK) {
        end(o, err);
        return;
    }
    struct hash32 context = output_box_context(o->run, options->self);
    struct crypto_job job = {.op = CRYPTO_OPEN, .box = box, .context = ID_SPAN(context)};
    options->keyed(options->keys, &job, on_opened, o);
}
