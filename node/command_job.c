#include "node/command_list.h"

int command_job_post(int argc, char **argv)
{
    struct client c;
    const char *workflow = NULL, *task = NULL;
    const struct argument option[] = {{"--workflow", &workflow, NULL}, {"--task", &task, NULL}};
    struct arguments a = {option, 2, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "job post", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "--workflow", workflow);
    if (code == EXIT_OK) code = client_need(&c, "--task TEXT", task);
    if (code == EXIT_OK)
        code =
            client_post(&c, &answer, json_pack("{s:s, s:s}", "compose", workflow, "task", task), "/v1/jobs");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "posted job %s", client_text(answer, "record"));
}

int command_job_endorse(int argc, char **argv)
{
    struct client c;
    const char *job = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &job};
    json_t *answer = NULL;
    int code = client_begin(&c, "job endorse", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "JOB", job);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_object(), "/v1/jobs/%s/endorse", job);
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "endorsed job %s", job);
}

int command_job_list(int argc, char **argv)
{
    static const struct command_list list = {"job list",
                                             "/v1/jobs",
                                             "jobs",
                                             "no jobs",
                                             6,
                                             {{"JOB", "job", 0},
                                              {"PROVIDER", "provider", 0},
                                              {"TASK", "task", 40},
                                              {"ENDORSED", "endorsements", 0},
                                              {"OF", "needed", 0},
                                              {"WORKFLOW", "compose", 16}}};
    return command_list_run(&list, argc, argv);
}
