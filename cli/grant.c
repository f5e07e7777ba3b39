/* SPDX-License-Identifier: ISC */
/* What for: grants. Trusts: the minter, which checks what this sends. At a
 * bound: a file over 1 MiB is refused. */
#include "cli/verbs.h"

#include "cli/admin.h"
#include "cli/daemon.h"
#include "cli/text.h"
#include "lib/buf.h"
#include "scope/grant_json.h"
#include "scope/grant_yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_ (1024 * 1024)
#define READ_GRANTS "read the grants"

static int
read_all(const char *path, struct buf *b, struct cli_error *e)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO)
					: open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;
	uint8_t *p;

	while (n > 0) {
		if (buf_reserve(b, 16384, &p) != 0) {
			errno = EFBIG;
			n = -1;
		} else if ((n = read(fd, p, 16384)) > 0) {
			buf_claim(b, (size_t)n);
		}
	}
	if (n < 0)
		(void)cli_error(e, fd < 0 ? CLI_NOT_FOUND : CLI_FAILED,
		    READ_GRANTS, NULL, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return e->code;
}

/* Append a file's grants to all. */
static int
take_file(const char *path, json_t *all, struct cli_error *e)
{
	struct buf *b = buf_new(FILE_MAX_);
	struct grant_set set = {0};
	char why[1024] = "";
	json_t *grants = NULL;

	if (b == NULL) {
		(void)cli_error_from(e, ERR_NOMEM, READ_GRANTS, NULL);
	} else if (read_all(path, b, e) == 0) {
		int r = grant_set_from_yaml(buf_span(b),
		    strcmp(path, "-") == 0 ? "stdin" : path, &set, why,
		    sizeof(why));
		if (r == 0 && ((grants = grant_set_to_json(&set)) == NULL ||
				  json_array_extend(all, grants) != 0))
			r = ERR_NOMEM;
		if (r != 0)
			(void)cli_error(e, CLI_FAILED, READ_GRANTS,
			    "man hatcheck-grants", "%s",
			    why[0] == '\0' ? err_text(r) : why);
	}
	json_decref(grants);
	grant_set_free(&set);
	buf_free(b);
	return e->code;
}

static int
say_applied(struct cli *cli, const json_t *out)
{
	const json_t *name;
	size_t i;

	if (cli->json)
		return cli_print_json(out);
	json_array_foreach (json_object_get(out, "applied"), i, name) {
		cli_note(cli, "Applied %s.", json_string_value(name));
	}
	cli_note(cli, "Running sessions that follow: %lld.",
	    (long long)json_integer_value(json_object_get(out, "sessions")));
	return CLI_OK;
}

int
grant_apply_run(struct cli *cli, const struct args *a)
{
	json_t *all = json_array(), *out = NULL;
	struct cli_error e = {0};
	int r = 0;

	for (size_t i = 0; i < a->n_words && r == 0; i++)
		r = take_file(a->words[i], all, &e);
	if (r == 0)
		r = daemon_ensure(cli, &e);
	if (r == 0)
		r = admin_call(cli, "grant.apply",
		    json_pack("{s:O, s:b}", "grants", all, "replace",
			args_has(a, "replace")),
		    &out, &e);
	r = r != 0 ? cli_report(cli, &e) : say_applied(cli, out);
	json_decref(all);
	json_decref(out);
	return r;
}

static void
join(const json_t *strings, char *out, size_t size)
{
	const json_t *s;
	size_t i, at = 0;

	out[0] = '\0';
	json_array_foreach (strings, i, s) {
		int n = snprintf(out + at, size - at, "%s%s",
		    at == 0 ? "" : " ", json_string_value(s));
		if (n < 0 || (size_t)n >= size - at)
			return; /* cut */
		at += (size_t)n;
	}
}

static int
print_grants(const json_t *list)
{
	static const char *const headings[] = {
	    "NAME", "CREDENTIAL", "HOSTS", "RULES", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *g;
	size_t i;

	if (t == NULL)
		return CLI_FAILED;
	json_array_foreach (list, i, g) {
		char hosts[512], rules[32];
		join(json_object_get(g, "hosts"), hosts, sizeof(hosts));
		(void)snprintf(rules, sizeof(rules), "%zu",
		    json_array_size(json_object_get(g, "allow")));
		text_table_row(
		    t, (const char *[]){cli_string(g, "name"),
			   cli_string(g, "credential"), hosts,
			   json_is_true(json_object_get(g, "tunnel")) ? "tunnel"
								      : rules});
	}
	int r = text_table_print(t, stdout);
	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

int
grant_list_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = admin_call(cli, "grant.list", NULL, &out, &e);

	(void)a;
	if (r != 0)
		return cli_report(cli, &e);
	r = cli->json ? cli_print_json(out)
		      : print_grants(json_object_get(out, "grants"));
	json_decref(out);
	return r;
}

static int
print_grant(const json_t *g)
{
	static const char *const headings[] = {"METHODS", "PATHS", NULL};
	struct text_table *t = text_table_new(headings);
	char hosts[512], methods[256], paths[512], shown[2048];
	const json_t *rule;
	size_t i;

	if (t == NULL)
		return CLI_FAILED;
	join(json_object_get(g, "hosts"), hosts, sizeof(hosts));
	text_escape(span_str(hosts), false, shown, sizeof(shown));
	printf("%s: %s%s%s\n", cli_string(g, "name"), shown,
	    cli_string(g, "credential")[0] == '\0' ? "" : " with ",
	    cli_string(g, "credential"));
	json_array_foreach (json_object_get(g, "allow"), i, rule) {
		join(
		    json_object_get(rule, "methods"), methods, sizeof(methods));
		join(json_object_get(rule, "paths"), paths, sizeof(paths));
		text_table_row(t, (const char *[]){methods, paths});
	}
	int r = text_table_print(t, stdout);
	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

int
grant_show_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = admin_call(cli, "grant.show",
	    json_pack("{s:s}", "name", a->words[0]), &out, &e);

	if (r != 0)
		return cli_report(cli, &e);
	r = cli->json ? cli_print_json(out) : print_grant(out);
	json_decref(out);
	return r;
}

int
grant_remove_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = daemon_ensure(cli, &e);

	if (r == 0)
		r = admin_call(cli, "grant.remove",
		    json_pack("{s:s}", "name", a->words[0]), &out, &e);
	if (r != 0)
		return cli_report(cli, &e);
	r = cli->json ? cli_print_json(out) : CLI_OK;
	json_decref(out);
	return r;
}

static int
print_suggestions(struct cli *cli, const json_t *list)
{
	static const char *const headings[] = {
	    "REFUSED", "REASON", "CREDENTIAL", "--allow", NULL};
	struct text_table *t = text_table_new(headings);
	const json_t *s;
	size_t i;

	if (t == NULL)
		return CLI_FAILED;
	json_array_foreach (list, i, s) {
		char count[24];
		(void)snprintf(count, sizeof(count), "%lld",
		    (long long)json_integer_value(json_object_get(s, "count")));
		text_table_row(
		    t, (const char *[]){count, cli_string(s, "reason"),
			   cli_string(s, "credential"), cli_string(s, "text")});
	}
	int r = text_table_print(t, stdout);
	text_table_free(t);
	cli_note(cli, "These are what guests asked for, not what is good for "
		      "them: read each one\nbefore you put it into a grant.");
	return r == 0 ? CLI_OK : CLI_FAILED;
}

int
grant_suggest_run(struct cli *cli, const struct args *a)
{
	const char *session = args_value(a, "session");
	struct cli_error e = {0};
	json_t *out = NULL;
	int r = admin_call(cli, "grant.suggest",
	    session == NULL ? NULL : json_pack("{s:s}", "session", session),
	    &out, &e);

	if (r != 0)
		return cli_report(cli, &e);
	r = cli->json
		? cli_print_json(out)
		: print_suggestions(cli, json_object_get(out, "suggestions"));
	json_decref(out);
	return r;
}
