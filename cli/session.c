/* SPDX-License-Identifier: ISC */
/* What for: sessions, tokens, revocation, explanation. Trusts: the minter.
 * At a bound: the minter refuses. */
#include "cli/verbs.h"

#include "cli/admin.h"
#include "cli/daemon.h"
#include "cli/secret_input.h"
#include "cli/session_request.h"
#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int printer(struct cli *cli, const json_t *document);

/* One call, its document printed; in's reference is taken. */
static int
call_and_print(struct cli *cli, const char *name, json_t *in, printer *print)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = admin_call(cli, name, in, &out, &e);

	if (r != 0)
		return cli_report(cli, &e);
	if (cli->json)
		r = cli_print_json(out);
	else
		r = print == NULL ? CLI_OK : print(cli, out);
	json_decref(out);
	return r;
}

static int
shown(struct text_table *t)
{
	int r = text_table_print(t, stdout);

	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

static int64_t
number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* --- sessions --------------------------------------------------------- */

static void
grant_names(const json_t *session, char *out, size_t size)
{
	const json_t *g;
	size_t i, at = 0;

	out[0] = '\0';
	json_array_foreach (json_object_get(session, "grants"), i, g) {
		int n = snprintf(out + at, size - at, "%s%s",
		    at == 0 ? "" : " ", cli_string(g, "name"));
		if (n < 0 || (size_t)n >= size - at)
			return; /* cut */
		at += (size_t)n;
	}
}

static int
print_sessions(struct cli *cli, const json_t *out)
{
	static const char *const headings[] = {
	    "SESSION", "GUEST", "STATE", "EXPIRES", "GRANTS", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *s;
	size_t i;

	(void)cli;
	if (t == NULL)
		return CLI_FAILED;
	json_array_foreach (json_object_get(out, "sessions"), i, s) {
		char when[32], grants[256];
		grant_names(s, grants, sizeof(grants));
		text_table_row(
		    t, (const char *[]){cli_string(s, "id"),
			   cli_string(s, "guest"), cli_string(s, "state"),
			   cli_time(number(s, "expires"), when), grants});
	}
	return shown(t);
}

static const char *
channel_text(const json_t *way, char out[static 80])
{
	const char *type = cli_string(way, "type");

	if (strcmp(type, "vsock") != 0)
		return cli_string(
		    way, strcmp(type, "unix") == 0 ? "dir" : "socket");
	(void)snprintf(out, 80, "vsock CID %lld to port %lld%s",
	    (long long)number(way, "cid"), (long long)number(way, "port"),
	    json_is_true(json_object_get(way, "privileged_ports"))
		? ", from ports below 1024"
		: "");
	return out;
}

static int
print_session(struct cli *cli, const json_t *s)
{
	static const char *const headings[] = {"FIELD", "VALUE", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *way = json_object_get(s, "channel");
	char when[32], grants[512], where[80];

	(void)cli;
	if (t == NULL)
		return CLI_FAILED;
	grant_names(s, grants, sizeof(grants));
	text_table_row(t, (const char *[]){"session", cli_string(s, "id")});
	text_table_row(t, (const char *[]){"guest", cli_string(s, "guest")});
	text_table_row(t, (const char *[]){"state", cli_string(s, "state")});
	text_table_row(t,
	    (const char *[]){"created", cli_time(number(s, "created"), when)});
	text_table_row(t,
	    (const char *[]){"expires", cli_time(number(s, "expires"), when)});
	text_table_row(t, (const char *[]){"channel", channel_text(way, where)});
	text_table_row(t, (const char *[]){"grants", grants});
	return shown(t);
}

int
session_create_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *in = NULL;
	int r = daemon_ensure(cli, &e);

	if (r == 0)
		r = session_request(cli, a, 0, &in, &e);
	if (r != 0)
		return cli_report(cli, &e);
	return call_and_print(cli, "session.create", in, print_session);
}

int
session_list_run(struct cli *cli, const struct args *a)
{
	return call_and_print(cli, "session.list",
	    json_pack("{s:b}", "all", args_has(a, "all")), print_sessions);
}

int
session_show_run(struct cli *cli, const struct args *a)
{
	return call_and_print(cli, "session.show",
	    json_pack("{s:s}", "session", a->words[0]), print_session);
}

int
session_end_run(struct cli *cli, const struct args *a)
{
	return call_and_print(cli, "session.end",
	    json_pack("{s:s}", "session", a->words[0]), NULL);
}

/* --- tokens ----------------------------------------------------------- */

#define INDENT 2
#define DEEP 16 /* more than the daemon makes */

static bool
is_listed(const json_t *list, const char *family)
{
	const json_t *k;
	size_t i;

	json_array_foreach (list, i, k) {
		if (strcmp(cli_string(k, "family"), family) == 0)
			return true;
	}
	return false;
}

static void
token_row(struct text_table *t, const json_t *k, int depth)
{
	char issued[32], expires[32], family[128];

	(void)snprintf(family, sizeof(family), "%*s%s", depth * INDENT, "",
	    cli_string(k, "family"));
	text_table_row(t,
	    (const char *[]){family, cli_string(k, "act"),
		cli_string(k, "jti"), cli_string(k, "session"),
		cli_string(k, "guest"), cli_time(number(k, "issued"), issued),
		cli_time(number(k, "expires"), expires),
		cli_string(k, "state")});
}

/* Those below parent, each with what is below it. NULL: those whose parent
 * is not shown. */
static void
token_rows(
    struct text_table *t, const json_t *list, const char *parent, int depth)
{
	const json_t *k;
	size_t i;

	json_array_foreach (list, i, k) {
		const char *above = cli_string(k, "parent");
		if (parent == NULL ? is_listed(list, above)
				   : strcmp(above, parent) != 0)
			continue;
		token_row(t, k, depth);
		if (depth < DEEP)
			token_rows(t, list, cli_string(k, "family"), depth + 1);
	}
}

static int
print_tokens(struct cli *cli, const json_t *out)
{
	static const char *const headings[] = {"FAMILY", "ACT", "JTI",
	    "SESSION", "GUEST", "ISSUED", "EXPIRES", "STATE", NULL};
	struct text_table *t = text_table_new(headings);

	(void)cli;
	if (t == NULL)
		return CLI_FAILED;
	token_rows(t, json_object_get(out, "tokens"), NULL, 0);
	return shown(t);
}

int
token_list_run(struct cli *cli, const struct args *a)
{
	const char *session = args_value(a, "session");

	return call_and_print(cli, "token.list",
	    session == NULL ? NULL : json_pack("{s:s}", "session", session),
	    print_tokens);
}

/* The word itself, or with "-" what standard input holds. */
static int
token_word(const char *word, char **out, struct cli_error *e)
{
	struct keep *k = NULL;

	e->code = 0;
	if (strcmp(word, "-") == 0 &&
	    secret_read_fd(STDIN_FILENO, true, &k, e) != 0)
		return e->code;
	char *text = k == NULL ? strdup(word) : span_dup(keep_reveal(k));
	keep_free(k);
	if (text == NULL)
		return cli_error_from(e, ERR_FORMAT, "token", NULL);
	*out = text;
	return 0;
}

static int
print_inspection(struct cli *cli, const json_t *out)
{
	const char *key;
	json_t *value;

	(void)cli;
	json_object_foreach ((json_t *)(uintptr_t)out, key, value) {
		char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		printf("%-24s %s\n", key, text == NULL ? "?" : text);
		free(text);
	}
	return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

int
token_inspect_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	char *token = NULL;

	if (token_word(a->words[0], &token, &e) != 0 || token == NULL)
		return cli_report(cli, &e);
	int r = call_and_print(cli, "token.inspect",
	    json_pack(
		"{s:s}", strchr(token, '.') == NULL ? "jti" : "token", token),
	    print_inspection);
	free(token);
	return r;
}

int
token_metadata_run(struct cli *cli, const struct args *a)
{
	(void)a;
	return call_and_print(cli, "token.metadata", NULL, print_inspection);
}

static int
print_keys(struct cli *cli, const json_t *out)
{
	static const char *const headings[] = {"KID", "USE", NULL};
	struct text_table *t = text_table_new(headings);
	char when[32];
	const json_t *k;
	size_t i;

	if (t == NULL)
		return CLI_FAILED;
	json_array_foreach (json_object_get(out, "keys"), i, k)
		text_table_row(t,
		    (const char *[]){cli_string(k, "kid"),
			json_is_true(json_object_get(k, "current"))
			    ? "signs"
			    : "verifies"});
	cli_note(cli, "Rotated at %s at the latest.",
	    cli_time(number(out, "rotates"), when));
	return shown(t);
}

int
key_list_run(struct cli *cli, const struct args *a)
{
	(void)a;
	return call_and_print(cli, "key.list", NULL, print_keys);
}

int
key_rotate_run(struct cli *cli, const struct args *a)
{
	(void)a;
	return call_and_print(cli, "key.rotate", NULL, print_keys);
}

/* --- revocation ------------------------------------------------------- */

static int
print_revoked(struct cli *cli, const json_t *out)
{
	cli_note(cli, "Revoked: %lld, in %lld ms.",
	    (long long)number(out, "revoked"),
	    (long long)number(out, "milliseconds"));
	return CLI_OK;
}

/* Revocation must last, so it needs the daemon even when none runs. */
static int
revoke_call(struct cli *cli, json_t *in)
{
	struct cli_error e = {0};

	if (daemon_ensure(cli, &e) != 0) {
		json_decref(in);
		return cli_report(cli, &e);
	}
	return call_and_print(cli, "revoke", in, print_revoked);
}

static int
revoke_token(struct cli *cli, const char *word)
{
	struct cli_error e = {0};
	char *token = NULL;

	if (token_word(word, &token, &e) != 0)
		return cli_report(cli, &e);
	int r = revoke_call(cli, json_pack("{s:s}", "token", token));
	free(token);
	return r;
}

int
token_revoke_run(struct cli *cli, const struct args *a)
{
	return revoke_token(cli, a->words[0]);
}

int
revoke_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};

	if (a->n_given != 1) {
		(void)cli_error(&e, CLI_USAGE, "revoke",
		    "hatcheck revoke --help", "%s",
		    a->n_given == 0 ? "say what to revoke"
				    : "one thing at a time");
		return cli_report(cli, &e);
	}
	const char *option = a->given[0].option->name;
	const char *value = a->given[0].value;
	if (strcmp(option, "all") == 0)
		return revoke_call(cli, json_pack("{s:b}", "all", 1));
	if (strcmp(option, "token") == 0)
		return revoke_token(cli, value);
	return revoke_call(cli, json_pack("{s:s}", option, value));
}

/* --- explain ---------------------------------------------------------- */

/* What would happen to the request in one session, with its name in it. */
static int
explain_one(struct cli *cli, const char *session, const struct args *a,
    json_t *list, struct cli_error *e)
{
	json_t *out = NULL;

	if (admin_call(cli, "explain",
		json_pack("{s:s, s:s, s:s}", "session", session, "method",
		    a->words[0], "url", a->words[1]),
		&out, e) != 0)
		return e->code;
	if (json_object_set_new(out, "session", json_string(session)) != 0 ||
	    json_array_append(list, out) != 0)
		(void)cli_error_from(e, ERR_NOMEM, "explain", NULL);
	json_decref(out);
	return e->code;
}

static int
explain_all(
    struct cli *cli, const struct args *a, json_t *list, struct cli_error *e)
{
	const json_t *s;
	json_t *out = NULL;
	size_t i;

	if (admin_call(cli, "session.list", NULL, &out, e) != 0)
		return e->code;
	json_array_foreach (json_object_get(out, "sessions"), i, s) {
		if (strcmp(cli_string(s, "state"), "active") == 0 &&
		    explain_one(cli, cli_string(s, "id"), a, list, e) != 0)
			break;
	}
	json_decref(out);
	if (e->code == 0 && json_array_size(list) == 0)
		(void)cli_error(e, CLI_NOT_FOUND, "explain",
		    "hatcheck session create", "there is no active session");
	return e->code;
}

static void
print_explanation(const json_t *x)
{
	char hint[512], what[512];

	text_escape(span_str(cli_string(x, "what")), false, what, sizeof(what));
	text_escape(span_str(cli_string(x, "hint")), false, hint, sizeof(hint));
	if (json_is_true(json_object_get(x, "allowed"))) {
		printf("%s: allowed by grant %s, rule %lld",
		    cli_string(x, "session"), cli_string(x, "grant"),
		    (long long)number(x, "rule") + 1);
		if (cli_string(x, "credential")[0] != '\0')
			printf(", with credential %s",
			    cli_string(x, "credential"));
		printf("\n");
		return;
	}
	printf("%s: refused, %s: %s\n", cli_string(x, "session"),
	    cli_string(x, "reason"), what);
	if (cli_string(x, "grant")[0] != '\0')
		printf("  closest grant: %s\n", cli_string(x, "grant"));
	if (hint[0] != '\0')
		printf("  next: %s\n", hint);
}

int
explain_run(struct cli *cli, const struct args *a)
{
	const char *session = args_value(a, "session");
	json_t *list = json_array();
	struct cli_error e = {0};
	const json_t *x;
	bool allowed = false;
	size_t i;
	int r;

	r = session != NULL ? explain_one(cli, session, a, list, &e)
			    : explain_all(cli, a, list, &e);
	if (r != 0) {
		json_decref(list);
		return cli_report(cli, &e);
	}
	json_array_foreach (list, i, x) {
		allowed |= json_is_true(json_object_get(x, "allowed"));
		if (!cli->json)
			print_explanation(x);
	}
	if (cli->json)
		r = cli_print_json(
		    session == NULL ? list : json_array_get(list, 0));
	json_decref(list);
	if (r != 0 || fflush(stdout) != 0)
		return CLI_FAILED;
	return allowed ? CLI_OK : CLI_DENIED;
}
