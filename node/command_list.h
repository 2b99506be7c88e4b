/* command_list: a command that fetches a list, all its pages, and shows it: one JSON object a line, or a listing. */
#ifndef PERIGEE_NODE_COMMAND_LIST_H
#define PERIGEE_NODE_COMMAND_LIST_H

#include "node/client.h"
#include "node/listing.h"

struct command_list {
    const char *command, *path;
    const char *member;  /* of the answer: the array */
    const char *nothing; /* said when it is empty */
    uint32_t column_count;
    struct listing_column column[LISTING_COLUMN_MAX];
};
/* A whole command without options of its own. Returns its exit code. */
int command_list_run(const struct command_list *list, int argc, char **argv);
/* The showing alone. Borrows `answer`. */
void command_list_show(const struct command_list *list, const struct client *c, const json_t *answer);

#endif
