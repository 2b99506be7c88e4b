/* command: the command line. One table makes dispatch, help and (later) man pages and completions.
 * Exit codes: 0 ok, 1 refused or failed, 2 cannot reach the node, 3 usage, 4 not verified, 5 a run that another may go
 * on with, 75 try later, 130 interrupted.
 * Every command takes --json (one object, or one per line for streams) and --data DIR where it talks to a node. Errors on
 * stderr: what was expected, what came, what to do next. */
#ifndef PERIGEE_NODE_COMMAND_H
#define PERIGEE_NODE_COMMAND_H

#define PERIGEE_VERSION "0.1.0"

enum exit_code {
    EXIT_OK = 0,
    EXIT_REFUSED = 1,
    EXIT_UNREACHABLE = 2,
    EXIT_USAGE = 3,
    EXIT_NOT_VERIFIED = 4,
    EXIT_NOT_OVER =
        5, /* a run that ended for one candidate, while another may go on with it: not to be asked for again */
    EXIT_TRY_LATER = 75,
    EXIT_INTERRUPTED = 130 /* as shells say it: 128 and SIGINT; what was done so far is there */
};

/* X(noun, verb, function, arguments, summary): verb "" when the noun stands alone. */
#define COMMAND_TABLE(X)                                                                                     \
    X("init", "", command_init,                                                                              \
      "--data DIR --organisation NAME --jurisdiction CODE --roles A,B [--listen ADDR] [--announce ADDR] "    \
      "[--passphrase-file FILE|-] [--approval-key KEY]",                                                     \
      "make a node's data directory, keys and member card; with a passphrase the keys are encrypted")        \
    X("node", "", command_node, "--data DIR [--passphrase-file FILE|-]",                                     \
      "run the node until SIGTERM or SIGINT")                                                                \
    X("status", "", command_status, "--data DIR", "what the node is, whom it sees, what it waits for")       \
    X("doctor", "", command_doctor, "--data DIR [--store] [--passphrase-file FILE]",                         \
      "what is wrong here and what to do; --store reads every row of the store")                             \
    X("backup", "", command_backup, "--data DIR FILE",                                                       \
      "copy a node, running or not, into one file; what is restored from it signs nothing again")            \
    X("restore", "", command_restore, "--data DIR FILE",                                                     \
      "make a data directory from a backup: it reads and serves, its key signs nothing again")               \
    X("recover", "", command_recover,                                                                        \
      "--data DIR (--from OLD-DIR [--passphrase-file FILE|-] [--yes] | --replaces NODE)",                    \
      "let this new node ask to take the place of a key whose disk was lost or restored")                    \
    X("events", "", command_events, "--data DIR [--run RUN] [--since ID]",                                   \
      "follow what happens: records, states of runs, alerts; --since goes on behind an event")               \
    X("tls", "new", command_tls_new, "--data DIR [--name HOST]... [--days N] [--replace]",                   \
      "make a key and a certificate that it signs itself, for the API on TCP")                               \
    X("token", "create", command_token_create,                                                               \
      "--data DIR --name NAME --scopes A,B [--days N] [--out FILE]",                                         \
      "let who has it use the API on TCP, as far as its scopes (monitor, read, request, approve, admin)")    \
    X("token", "list", command_token_list, "--data DIR", "tokens that are in force")                         \
    X("token", "revoke", command_token_revoke, "--data DIR ID", "end a token")                               \
    X("consortium", "new", command_consortium_new,                                                           \
      "--name NAME --out FILE [--k N] [--f N] [--lease-ms N] [--rank-delay-ms N] [--skew-max-ms N] "         \
      "[--maker-devices N] CARD...",                                                                         \
      "write a charter from the founders' member cards")                                                     \
    X("consortium", "join", command_consortium_join, "--data DIR CHARTER",                                   \
      "bind this data directory to a charter")                                                               \
    X("consortium", "sign", command_consortium_sign, "--data DIR", "as a steward, sign the charter")         \
    X("consortium", "keygen", command_consortium_keygen, "--data DIR",                                       \
      "as a custodian, generate both consortium keys with the others")                                       \
    X("consortium", "show", command_consortium_show, "--data DIR", "charter, committee and what is missing") \
    X("member", "request", command_member_request, "--data DIR",                                             \
      "ask to be admitted: by the stewards, a device by its maker")                                          \
    X("member", "list", command_member_list, "--data DIR", "members and waiting requests")                   \
    X("member", "admit", command_member_admit, "--data DIR NODE",                                            \
      "as a steward, admit an applicant; as a maker, a device")                                              \
    X("member", "remove", command_member_remove, "--data DIR NODE [--last-seq N]",                           \
      "as a maker, revoke a device; as a steward, sign the removal of a member")                             \
    X("op", "register", command_op_register, "--data DIR (--template NAME | FILE --code FILE)",              \
      "as a steward, register an op: a shipped template, or a document with its code")                       \
    X("op", "list", command_op_list, "--data DIR", "registered ops")                                         \
    X("op", "code", command_op_code, "--data DIR HASH [--out FILE]",                                         \
      "fetch code by its hash, or by its op's, and check that it has it")                                    \
    X("op", "templates", command_op_templates, "",                                                           \
      "the privacy-step templates that ship, with their hashes")                                             \
    X("workers", "register", command_workers_register,                                                       \
      "--data DIR --name NAME [--version N] MEASUREMENT...",                                                 \
      "as a steward, accept enclave worker measurements instead of those in force")                          \
    X("workers", "list", command_workers_list, "--data DIR", "accepted worker measurements, and proposals")  \
    X("workers", "measure", command_workers_measure, "", "the measurement of this program's enclave worker") \
    X("asset", "register", command_asset_register, "--data DIR FILE",                                        \
      "register an asset described in YAML (no content)")                                                    \
    X("asset", "list", command_asset_list, "--data DIR", "assets this node knows")                           \
    X("asset", "bind", command_asset_bind, "--data DIR --asset DT --workflow HASH --manifest HASH",          \
      "bind what was sealed here to its workflow, or a bound content to another")                            \
    X("workflow", "publish", command_workflow_publish, "--data DIR --app DT FILE [--unchecked]",             \
      "publish a workflow (YAML or canonical JSON) under an algorithm asset; --unchecked where DuckDB is "   \
      "missing")                                                                                             \
    X("workflow", "show", command_workflow_show, "--data DIR HASH [--asset DT]", "a recipe in plain words")  \
    X("workflow", "status", command_workflow_status, "--data DIR HASH",                                      \
      "who approved it, who is waited for")                                                                  \
    X("seal", "", command_seal,                                                                              \
      "--data DIR --asset DT --in FILE --workflow HASH [--format csv|parquet|bytes] [--delimiter C] "        \
      "[--missing MARK] [--no-header] [--jurisdiction A,B] [--export none|to-enclave|any] [--gpu] "          \
      "[--owner-veto] [--tar OUT]",                                                                          \
      "seal a file for a workflow and bind its content")                                                     \
    X("grant", "", command_grant,                                                                            \
      "--data DIR --asset DT --slots N (--workflow HASH | --to DT --epsilon E --op HASH...)",                \
      "let an algorithm use a dataset through named ops, as much as a published workflow needs or as said")  \
    X("approve", "", command_approve,                                                                        \
      "--data DIR --asset DT --workflow HASH [--slots A-B] [--yes | --offline FILE]",                        \
      "read a recipe in plain words and approve it; --offline: write it to be signed on another machine")    \
    X("approval", "key", command_approval_key, "--out FILE [--passphrase-file FILE|-]",                      \
      "make a key that signs approvals, to be kept away from the node: `init --approval-key` names it")      \
    X("approval", "sign", command_approval_sign,                                                             \
      "REQUEST --key FILE --out FILE [--passphrase-file FILE|-] [--yes]",                                    \
      "where the key is, without a node: read what --offline wrote, and sign it")                            \
    X("approval", "submit", command_approval_submit, "--data DIR FILE", "approve with what was signed")      \
    X("revoke", "", command_revoke, "--data DIR (--approval RECORD | --workflow HASH | --asset DT | --all)", \
      "take back what was approved and granted, at once, and see which custodians have heard it")            \
    X("budget", "", command_budget, "--data DIR --asset DT",                                                 \
      "what a dataset's privacy budget was allotted to, and what became of it")                              \
    X("job", "post", command_job_post, "--data DIR --workflow HASH --task TEXT",                             \
      "post a job on the task market")                                                                       \
    X("job", "endorse", command_job_endorse, "--data DIR JOB", "as a steward, endorse a job")                \
    X("job", "list", command_job_list, "--data DIR", "jobs and their endorsements")                          \
    X("run", "request", command_run_request,                                                                 \
      "--data DIR --workflow HASH [--inputs TOKEN,...] [--slot N] [--set NAME=VALUE]... [--expires-in-ms "   \
      "MS] [--wait | --dry-run]",                                                                            \
      "request a run in a slot; --set gives a parameter of the workflow its value; --dry-run says what "     \
      "is missing and what it would cost; --wait ends with 5 for one that was refused or fell silent, and "  \
      "is not over")                                                                                         \
    X("run", "why", command_run_why, "--data DIR RUN", "what a run waits for")                               \
    X("run", "list", command_run_list, "--data DIR", "runs this node knows")                                 \
    X("run", "show", command_run_show, "--data DIR RUN", "state, phases and result of a run")                \
    X("run", "receipt", command_run_receipt, "--data DIR RUN --out FILE",                                    \
      "write the self-contained receipt")                                                                    \
    X("verify", "", command_verify, "RECEIPT --consortium HASH", "replay a receipt offline, link by link")   \
    X("demo", "", command_demo, "[--study FILE --data DIR] [--rows N] [--keep DIR] [--stay]",                \
      "a joint study with seven processes on this machine")                                                  \
    X("sim", "", command_sim,                                                                                \
      "SCENARIO [--seed N] [--trust central|federated] [--csv FOLDER] [--html FILE] [--trace FILE] [--dot "  \
      "FILE] | --swarm N [--seed "                                                                           \
      "FIRST] [--jobs N] [--whole] [--failing FILE] | --sweep FILE [--out NAME] [--jobs N] [--cell N] | "    \
      "--replay FILE | --regions",                                                                           \
      "the production protocol over a simulated world, as tables, a page with plots, a trace for Perfetto, " \
      "a topology for Graphviz; the same scenario and seed give the same run; --trust central plays it "     \
      "beside at one machine that all rows go to; --swarm draws N scenarios "                                \
      "and looks for one that breaks a property; --sweep runs one with a grid of values and seeds, as "      \
      "tables; "                                                                                             \
      "--cell N is one of its cells, as a run; --replay steps a core by what a node has recorded and "       \
      "compares")                                                                                            \
    X("bench", "", command_bench, "[NAME] [--rows N]", "figures as ratios of bare primitives")               \
    X("enclave-worker", "", command_enclave_worker, "", "internal: the process behind one run")

#define COMMAND_DECLARE(noun, verb, function, arguments, summary) int function(int argc, char **argv);
COMMAND_TABLE(COMMAND_DECLARE)
#undef COMMAND_DECLARE

/* argv[0] is the program. Returns the exit code. */
int command_main(int argc, char **argv);

#endif
