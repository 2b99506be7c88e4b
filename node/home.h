/* home: a node's data directory and the keys in it. One process at a time may run the node (lock file); commands read it.
 *   version          "perigee-data 1\n": another version is refused, nothing is touched
 *   identity.key kem.key link.key dkg.key    key files (crypto/keyfile.h), 0600
 *   card.json        the public member card: what others need to admit this node
 *   charter.json     the consortium's charter, once joined; its sha2-256 is the consortium id
 *   perigee.yaml     configuration (config.h)
 *   store/           LMDB
 *   store.mark       what it was when this key last signed (store_mark.h)
 *   keygen/          key generation state and shares: <epoch>-<purpose>.state, <epoch>-<purpose>.share (key files)
 *                    With a passphrase, the four keys are encrypted under it and what is in keygen/ under a secret made of
 *                    the identity key, so that the passphrase itself is needed only while a home is made or opened.
 *   replaces         of a successor: the key whose place it takes, 32 bytes, and that key's consent, 64, if it gave it
 *   api.sock         the API
 *   lock             held while the node runs
 * Directory 0700. Secrets are in secret memory; home_close wipes them. */
#ifndef PERIGEE_NODE_HOME_H
#define PERIGEE_NODE_HOME_H

#include "crypto/types.h"
#include "proto/base/ids.h"

#include <limits.h>

enum { HOME_REPLACES_MAX = 32 + 64 };

struct home {
    char path[PATH_MAX];
    struct node_id node,
        approval; /* approval: the key that signs approvals, this node's own or one kept elsewhere */
    struct identity_secret *identity;
    struct kem_secret *kem;
    struct kem_public kem_public;
    struct kem_secret *link;
    struct scalar_secret *dkg;
    struct point dkg_public;
    struct hash32 *keygen_secret; /* passphrase of the files in keygen/; NULL when the keys have none */
    struct share_cache *shares;   /* shares read already; NULL before keys are open */
    char *card;                   /* card.json, NUL-terminated */
    size_t card_len;
    struct consortium_id consortium; /* zero before charter.json exists */
    char *charter;                   /* its bytes, NUL-terminated; NULL before */
    size_t charter_len;
    struct node_id replaces; /* zero: nobody */
    uint8_t consent[64];     /* of that key */
    size_t consent_len;      /* 0: it gave none */
    int lock_fd;             /* -1 unless home_lock succeeded */
};

struct home_identity { /* for `perigee init` */
    const char *organisation, *jurisdiction;
    uint32_t roles;          /* enum role bits */
    struct node_id approval; /* the key that signs its approvals, kept elsewhere; zero: this node's own */
    struct span config;      /* what perigee.yaml says at first; none: there is no such file */
};
/* Makes the directory, four keys, card.json and perigee.yaml. `passphrase` SPAN_NONE: the file mode alone protects the keys.
 * ERR_CONFLICT: it exists already; nothing is changed. `fault` (cap bytes) receives one line for people on any error. */
MUST_USE enum err home_create(const char *path, const struct home_identity *who, struct span passphrase,
                              char *fault, size_t cap);
/* ERR_NOT_FOUND, ERR_VERSION, ERR_REFUSED (permissions), ERR_DECRYPT (passphrase), ERR_CORRUPT; ERR_CONFLICT (charter.json names
 * this node otherwise than card.json). */
MUST_USE enum err home_open(struct home *out, const char *path, struct span passphrase, char *fault,
                            size_t cap);
/* The same without the keys, for what needs none: path, node, card, consortium and charter. */
MUST_USE enum err home_look(struct home *out, const char *path, char *fault, size_t cap);
/* What home_open does behind home_look, for who wants to hear of every key that does not open, not of the first: `fault` is called
 * with a line for each. Nothing is written. When it returns OK, `h` is as home_open leaves it. */
typedef void home_fault(void *context, enum err err, const char *line);
MUST_USE enum err home_open_keys(struct home *h, struct span passphrase, home_fault *fault, void *context);
/* Which seat among the custodians of charter.json is this node's, from 0; -1: none. */
int home_seat(const struct home *h);
/* Passphrase of the files in keygen/. */
struct span home_keygen_passphrase(const struct home *h);
/* Bind to a consortium: writes charter.json (the bytes must be a valid canonical charter). ERR_CONFLICT: another one than before, or
 * one that names this node otherwise than its card. */
MUST_USE enum err home_join(struct home *h, struct span charter, char *fault, size_t cap);
/* ERR_BUSY: a node runs here. ERR_IO, with what was expected: the lock file cannot be had (no file, read-only, not ours). */
MUST_USE enum err home_lock(struct home *h, char *fault, size_t cap);
/* Does a node run here, even one that does not answer? */
bool home_locked(const struct home *h);
/* Would home_lock, and an API on its api.sock, find what they need? Nothing is changed. ERR_BUSY: something answers on api.sock. */
MUST_USE enum err home_check_lock(const struct home *h, char *fault, size_t cap);
MUST_USE enum err home_check_socket(const struct home *h, char *fault, size_t cap);
/* Path of a file in it; cut paths panic. */
void home_path(char out[PATH_MAX], const struct home *h, const char *name);
void home_close(struct home *h);

#endif
