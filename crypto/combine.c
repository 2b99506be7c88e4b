/* combine: see combine.h. */
#include "crypto/combine.h"

#include "crypto/group.h"
#include "crypto/secret.h"

enum err combine_key_check(const struct group_key *key)
{
    if (key->n == 0 || key->n > COMMITTEE_MAX) return ERR_RANGE;
    if (key->t == 0 || key->t > key->n || key->t > THRESHOLD_MAX) return ERR_RANGE;
    return OK;
}

static enum err indices_check(const struct group_key *key, const struct dec_share *shares, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (shares[i].index == 0 || shares[i].index > key->n) return ERR_RANGE;
        for (uint32_t j = 0; j < i; j++)
            if (shares[i].index == shares[j].index) return ERR_DUPLICATE;
    }
    return count < key->t ? ERR_NOT_READY : OK;
}

/* Sum of lambda_i d_i; the products refuse bad points. The running sum is as secret as the result. */
static enum err weighted_sum(struct point *out, const struct scalar *lambda, const struct dec_share *shares,
                             uint32_t count)
{
    struct point sum, term = {{0}};
    enum err err = group_mul(&sum, lambda[0].bytes, &shares[0].d);
    for (uint32_t i = 1; i < count && err == OK; i++) {
        err = group_mul(&term, lambda[i].bytes, &shares[i].d);
        if (err == OK) err = group_add(&sum, &sum, &term);
    }
    if (err == OK) *out = sum;
    secret_wipe(&sum, sizeof sum);
    secret_wipe(&term, sizeof term);
    return err == OK ? OK : ERR_PROOF;
}

enum err combine_shares(struct point *out, const struct group_key *key, const struct dec_share *shares,
                        uint32_t count)
{
    TRY(combine_key_check(key));
    if (count > key->n) return ERR_RANGE;
    TRY(indices_check(key, shares, count));
    uint32_t index[THRESHOLD_MAX];
    struct scalar lambda[THRESHOLD_MAX];
    for (uint32_t i = 0; i < key->t; i++) index[i] = shares[i].index;
    TRY(group_lagrange(lambda, index, key->t));
    return weighted_sum(out, lambda, shares, key->t);
}
