/* log: what the process has to say to who runs it: one line for each event on stderr, in logfmt or as JSON, with time, level,
 * a name that stays the same, the node and a text. LOG_TABLE is every name there is.
 * Rules: no secret, no row and no document goes in: texts are written in this program, subjects are ids, addresses and error
 * names. Of one name no more than LOG_BURST lines at once and LOG_RATE a second are written; the next line says how many were
 * left out. A line is at most LOG_LINE_MAX bytes, written at once; what is no text in it becomes '?'.
 * Lines that the core, links and workers say come without a name: their beginning tells it (LOG_TABLE's third column), or they
 * are the name that the caller says.
 * The process has one log, as it has one stderr. Threads: any. */
#ifndef PERIGEE_NODE_LOG_H
#define PERIGEE_NODE_LOG_H

#include "proto/base/ids.h"

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };
enum { LOG_LINE_MAX = 1024, LOG_BURST = 50, LOG_RATE = 10 };

/* X(symbol, level, name, how such a line begins when it comes without a name; "": none does) */
#define LOG_TABLE(X)                                                                                         \
    X(LOG_NODE_READY, LOG_INFO, "node.ready", "")                                                            \
    X(LOG_NODE_STOPPING, LOG_INFO, "node.stopping", "")                                                      \
    X(LOG_NODE_LEFTOVER, LOG_WARN, "node.leftover", "")                                                      \
    X(LOG_API_LISTENING, LOG_INFO, "api.listening", "")                                                      \
    X(LOG_API_CERTIFICATE, LOG_WARN, "api.certificate", "")                                                  \
    X(LOG_API_HTTP, LOG_WARN, "api.http", "")                                                                \
    X(LOG_HEALTH_FAILED, LOG_WARN, "health.failed", "")                                                      \
    X(LOG_HEALTH_GOOD, LOG_INFO, "health.good", "")                                                          \
    X(LOG_KEYS_SHARE_BAD, LOG_ERROR, "keys.share-bad", "")                                                   \
    X(LOG_KEYS_SHARES_GOOD, LOG_INFO, "keys.shares-good", "")                                                \
    X(LOG_ENCLAVE_UNAVAILABLE, LOG_WARN, "enclave.unavailable", "")                                          \
    X(LOG_DUCKDB_MISSING, LOG_WARN, "duckdb.missing", "")                                                    \
    X(LOG_ENCLAVE_NOT_STARTED, LOG_WARN, "enclave.not-started", "")                                          \
    X(LOG_ENCLAVE, LOG_WARN, "enclave.worker", "enclave:")                                                   \
    X(LOG_RECORDING_BEGUN, LOG_INFO, "recording.begun", "")                                                  \
    X(LOG_RECORDING_KEPT, LOG_WARN, "recording.kept", "")                                                    \
    X(LOG_RECORDING_STOPPED, LOG_WARN, "recording.stopped", "")                                              \
    X(LOG_STORE_QUARANTINED, LOG_ERROR, "store.quarantined", "")                                             \
    X(LOG_STORE_FAILED, LOG_ERROR, "store.failed", "a peer's record")                                        \
    X(LOG_STORE_LOCAL_FAILED, LOG_ERROR, "store.local-failed", "what this node keeps for itself")            \
    X(LOG_STORE_SILENCE_FAILED, LOG_ERROR, "store.silence-failed", "that this key is silent")                \
    X(LOG_STORE_OWN_FAILED, LOG_ERROR, "store.own-record-failed", "own record could not be stored")          \
    X(LOG_STORE_PROMISE_FAILED, LOG_ERROR, "store.promise-failed", "a promise could not be stored")          \
    X(LOG_STORE_VOTE_FAILED, LOG_ERROR, "store.vote-failed", "a vote could not be stored")                   \
    X(LOG_STORE_RELEASE_FAILED, LOG_ERROR, "store.release-failed", "a release could not be stored")          \
    X(LOG_STORE_COMMIT_FAILED, LOG_ERROR, "store.commit-failed", "a commit could not be stored")             \
    X(LOG_STORE_PROMISE_LOST, LOG_ERROR, "store.promise-lost", "a stored promise is damaged")                \
    X(LOG_STORE_RECORD_LOST, LOG_ERROR, "store.record-lost", "a stored record is damaged")                   \
    X(LOG_STORE_RECORD_LEFT_OUT, LOG_WARN, "store.record-left-out", "a stored record was left out")          \
    X(LOG_STORE_HISTORY_LOST, LOG_WARN, "store.history-lost", "the stored history of a run is damaged")      \
    X(LOG_STORE_REQUEST_LOST, LOG_WARN, "store.request-lost",                                                \
      "the stored request to be admitted is damaged")                                                        \
    X(LOG_KEY_USED_ELSEWHERE, LOG_ERROR, "record.key-used-elsewhere", "another record of this node's key")   \
    X(LOG_KEY_SILENT, LOG_ERROR, "record.key-silent", "this key signs nothing any more")                     \
    X(LOG_RECORD_NO_EFFECT, LOG_INFO, "record.no-effect", "record has no effect")                            \
    X(LOG_RECORD_NO_ROOM, LOG_WARN, "record.no-room", "no room for")                                         \
    X(LOG_RECORD_EQUIVOCATION, LOG_ERROR, "record.equivocation", "equivocation:")                            \
    X(LOG_MEMBER_ASKS, LOG_INFO, "member.asks", "join request from")                                         \
    X(LOG_MEMBER_REPLACED, LOG_WARN, "member.replaced", "")                                                  \
    X(LOG_KEYGEN, LOG_INFO, "keygen", "key generation")                                                      \
    X(LOG_CLOCK_OFF, LOG_ERROR, "clock.off", "the clock is too far")                                         \
    X(LOG_CLOCK_GOOD, LOG_INFO, "clock.good", "the clock agrees")                                            \
    X(LOG_RUN_ELECTED, LOG_INFO, "run.elected", "elected for run")                                           \
    X(LOG_RUN_ENCLAVE_ENDED, LOG_WARN, "run.enclave-ended", "an enclave ended without an output")            \
    X(LOG_RUN_REFUSED, LOG_WARN, "run.refused", "a custodian refuses run")                                   \
    X(LOG_RUN_PARTY_REFUSED, LOG_WARN, "run.party-refused", "a party to its keys refuses run")               \
    X(LOG_RUN_SHARES_BAD, LOG_WARN, "run.shares-bad", "shares that do not hold came from custodian")         \
    X(LOG_RUN_RECEIPT_BAD, LOG_WARN, "run.receipt-bad", "a receipt's signatures do not hold")                \
    X(LOG_RELEASE_GIVEN, LOG_INFO, "release.given", "released ")                                             \
    X(LOG_RELEASE_REFUSED, LOG_WARN, "release.refused", "refused an enclave's ask")                          \
    X(LOG_CUSTODIAN_TROUBLE, LOG_WARN, "custodian.trouble", "custodian-trouble")                             \
    X(LOG_COMMIT_SIGNED, LOG_INFO, "commit.signed", "signed the commit of run")                              \
    X(LOG_PEER_MALFORMED, LOG_WARN, "peer.malformed", "malformed message from")                              \
    X(LOG_PEER_SIGNATURE, LOG_WARN, "peer.signature", "bad signature from peer")                             \
    X(LOG_PEER_FULL, LOG_WARN, "peer.queue-full", "")                                                        \
    X(LOG_LINK_UNREACHABLE, LOG_INFO, "link.unreachable", "cannot reach ")                                   \
    X(LOG_LINK_LISTEN, LOG_ERROR, "link.listen-failed", "cannot listen on ")                                 \
    X(LOG_LINK, LOG_INFO, "link.ended", "link with ")                                                        \
    X(LOG_OTHER, LOG_INFO, "node.notice", "")

#define LOG_ENUM(symbol, level, name, begins) symbol,
enum log_event { LOG_TABLE(LOG_ENUM) LOG_EVENT_COUNT };
#undef LOG_ENUM

/* Before this: level info, logfmt, no node. */
void log_begin(enum log_level most, bool json, struct node_id node);
void log_say(enum log_event event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line that came without a name; `otherwise` when its beginning tells none. */
void log_pass_on(enum log_event otherwise, struct span line);
/* Lines written since the start, by level; and those left out for their number. */
void log_counts(uint64_t lines[LOG_LEVEL_COUNT], uint64_t *left_out);

const char *log_event_name(enum log_event event);
/* Which a line's beginning tells; `otherwise` when none. */
enum log_event log_event_of(struct span line, enum log_event otherwise);
/* "error", "warn", "info", "debug". */
bool log_level_parse(enum log_level *out, const char *text);

#endif
