/* SPDX-License-Identifier: ISC */
/* What for: one call to the vault. Trusts: the peer that the kernel names,
 * if it is us or root. At a bound: gives up after a stated time. */
#include "cli/vault_client.h"

#include "cli/daemon.h"
#include "lib/link.h"
#include "lib/unixsock.h"
#include "messages/vault_cli.h"
#include "scope/grant_json.h"

#include <stdlib.h>
#include <unistd.h>

#define HELLO_MS 5000
/* Argon2id and a slow keychain take their time. */
#define CALL_MS 30000

static int
reach(struct cli *cli, const char *what, int *fd, struct cli_error *e)
{
	char path[PATH_MAX];
	uid_t uid;
	int r = paths_join(cli->paths.run, "vault.sock", path);

	if (r == 0)
		r = unixsock_connect(path, fd);
	if (r == ERR_NOT_FOUND || r == ERR_UNAVAILABLE)
		return cli_error(e, CLI_NOT_RUNNING, what, daemon_next(cli),
		    "the daemon does not run (nobody at %s)", path);
	if (r != 0)
		return cli_error_from(e, r, what, "hatcheck doctor");
	if (unixsock_peer(*fd, &uid, NULL) == 0 &&
	    (uid == geteuid() || uid == 0))
		return 0;
	close(*fd);
	return cli_error(e, CLI_DENIED, what, "hatcheck doctor",
	    "%s belongs to somebody else", path);
}

static int
exchange(int fd, const char *verb, struct span json, const struct keep *secret,
    struct buf *store, struct vault_reply *reply)
{
	struct vault_request q = {.verb = span_str(verb), .json = json};
	int r = link_call_hello(fd, LINK_CLI, LINK_VAULT, HELLO_MS);

	if (r != 0)
		return r;
	if (secret != NULL)
		q.secret = keep_reveal(secret);
	if ((r = link_call_send(fd, &msg_vault_request, &q, CALL_MS)) != 0)
		return r;
	return link_call_receive(fd, &msg_vault_reply, reply, store, CALL_MS);
}

/* What the vault answered, as our own error. */
static int
refused(const struct vault_reply *reply, const char *what, struct cli_error *e)
{
	char *next = span_dup(reply->next);

	(void)cli_error_from(e, reply->err, what, next);
	if (reply->what.n != 0)
		(void)snprintf(e->why, sizeof(e->why), "%.*s",
		    (int)reply->what.n, (const char *)reply->what.p);
	free(next);
	return e->code;
}

int
vault_call(struct cli *cli, const char *verb, const char *what, json_t *in,
    const struct keep *secret, json_t **out, struct cli_error *e)
{
	char *text = json_dumps(in, JSON_COMPACT);
	struct buf *store = buf_new(MSG_HEADER_LEN + MSG_MAX);
	struct vault_reply reply;
	json_t *answer = NULL;
	int fd = -1, r;

	e->code = 0;
	if (store == NULL || (in != NULL && text == NULL)) {
		(void)cli_error_from(e, ERR_NOMEM, what, NULL);
		goto out;
	}
	if (reach(cli, what, &fd, e) != 0)
		goto out;
	r = exchange(fd, verb, span_str(text == NULL ? "{}" : text), secret,
	    store, &reply);
	close(fd);
	/* Of two builds, each hangs up on the other: see who was faster. */
	if (r == ERR_FORMAT || (r != 0 && daemon_other_build(cli)))
		(void)cli_error(e, CLI_FAILED, what, DAEMON_OTHER_NEXT, "%s",
		    DAEMON_OTHER_BUILD);
	else if (r != 0)
		(void)cli_error(e, CLI_FAILED, what,
		    "hatcheck status; look what is there, then try again",
		    "the vault did not answer (%s): a change may have been "
		    "made or not",
		    err_text(r));
	else if (reply.err != 0)
		(void)refused(&reply, what, e);
	else if ((answer = json_strict(reply.json)) == NULL)
		(void)cli_error(e, CLI_FAILED, what, "hatcheck logs",
		    "the vault's answer is malformed");
	if (e->code == 0 && out != NULL) {
		*out = answer;
		answer = NULL;
	}
out:
	json_decref(answer);
	json_decref(in);
	free(text);
	buf_free(store);
	return e->code;
}
