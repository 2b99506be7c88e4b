/* http_head: what the head of a request must look like before libwebsockets sees it: HTTP/1.0 or 1.1, a method the API
 * may know, a path, plain fields, no upgrade, at most HTTP_HEAD_MAX bytes. Whoever sends anything else is told what was
 * expected and what came. Pure; rules are RFC 9112 §2 to §5, read strictly. */
#ifndef PERIGEE_NODE_HTTP_HEAD_H
#define PERIGEE_NODE_HTTP_HEAD_H

#include "proto/base/span.h"

enum { HTTP_HEAD_MAX = 8192, HTTP_FAULT_BYTES = 256 };

struct http_fault { /* one problem */
    int status;
    const char *reason;
    char detail[HTTP_FAULT_BYTES];
};

enum http_head_state { HTTP_HEAD_MORE, HTTP_HEAD_WHOLE, HTTP_HEAD_BAD };
/* `bytes` begin with what came of a head so far; what follows it is not looked at. BAD: *why says it. */
enum http_head_state http_head_read(struct span bytes, struct http_fault *why);

#endif
