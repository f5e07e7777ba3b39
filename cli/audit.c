/* SPDX-License-Identifier: ISC */
/* What for: reading the audit log. Trusts: nothing in it. At a bound: a
 * directory of more than 4096 files is shown in part, and said so. */
#include "cli/verbs.h"

#include "cli/tail.h"
#include "cli/text.h"
#include "lib/segments.h"
#include "minter/audit_verify.h"
#include "scope/grant_json.h"
#include "scope/grant_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 4096
#define NAP_NS (250 * 1000000)

/* --- tail ------------------------------------------------------------- */

/* Lines of all files, to be shown in the order of their time. */
struct entry {
	int64_t time;
	size_t order; /* of reading, for equal times */
	json_t *line;
};

struct view {
	struct cli *cli;
	const char *session;  /* only this chain, or NULL */
	const char *guest;    /* only this guest's sessions, or NULL */
	json_t *sessions;     /* of that guest, as met: an object's names */
	const char *match[3]; /* what match_keys must be, or NULL */
	const char *family;   /* only it and all below it, or NULL */
	int64_t since;	      /* Unix milliseconds, or 0 */
	DIR *dir;
	struct {
		char name[SEGMENT_NAME_MAX];
		struct tail *tail;
	} * files;
	size_t n_files, lines;
	struct entry *entries;
	size_t n_entries;
	const char *chain; /* whose lines are being read */
};

static const char *const match_keys[] = {"event", "host", "reason"};

static bool
filtered(const struct view *v)
{
	return v->since != 0 || v->guest != NULL || v->family != NULL ||
	       v->match[0] != NULL || v->match[1] != NULL ||
	       v->match[2] != NULL;
}

/* Unix milliseconds. */
static int64_t
time_of(const json_t *line)
{
	const json_t *t = json_object_get(line, "time");

	return json_is_number(t) ? (int64_t)json_number_value(t) : 0;
}

/* A session's beginning is in the minter's chain before all else of it, or
 * carried there, and that chain is read first. */
static bool
of_guest(const struct view *v, const json_t *line)
{
	const json_t *carried = json_object_get(line, "line");
	const json_t *said = carried != NULL ? carried : line;
	const char *session =
	    json_string_value(json_object_get(said, "session"));
	const char *guest = json_string_value(json_object_get(said, "guest"));
	const char *event = json_string_value(json_object_get(said, "event"));

	if (v->guest == NULL)
		return true;
	if (session == NULL)
		session = v->chain;
	if (event != NULL && guest != NULL && strcmp(v->chain, "minter") == 0 &&
	    strcmp(event, "session_created") == 0 &&
	    strcmp(guest, v->guest) == 0)
		(void)json_object_set_new(v->sessions, session, json_true());
	return json_object_get(v->sessions, session) != NULL;
}

static bool
of_family(const struct view *v, const json_t *line)
{
	const char *own = json_string_value(json_object_get(line, "family"));
	const json_t *parent;
	size_t i;

	if (v->family == NULL || (own != NULL && strcmp(own, v->family) == 0))
		return true;
	json_array_foreach (json_object_get(line, "parents"), i, parent) {
		const char *id = json_string_value(parent);
		if (id != NULL && strcmp(id, v->family) == 0)
			return true;
	}
	return false;
}

static bool
matches(const struct view *v, const json_t *line)
{
	/* Asked of every line, for it remembers sessions. */
	bool good = of_guest(v, line) && time_of(line) >= v->since;

	for (size_t i = 0; i < 3; i++) {
		const char *is =
		    json_string_value(json_object_get(line, match_keys[i]));
		if (v->match[i] != NULL &&
		    (is == NULL || strcmp(is, v->match[i]) != 0))
			return false;
	}
	return good && of_family(v, line);
}

static int
take_line(void *ctx, struct span text)
{
	struct view *v = ctx;
	json_t *line = json_strict(text);
	struct entry *grown;

	if (line == NULL) /* verify will say more */
		line = json_pack("{s:s}", "event", "unreadable");
	if (line != NULL && !matches(v, line)) {
		json_decref(line);
		return 0;
	}
	grown = reallocarray(v->entries, v->n_entries + 1, sizeof(*grown));
	if (line == NULL || grown == NULL) {
		json_decref(line);
		return ERR_NOMEM;
	}
	v->entries = grown;
	if (json_object_get(line, "session") == NULL)
		(void)json_object_set_new(
		    line, "session", json_string(v->chain)); /* for show */
	grown[v->n_entries] = (struct entry){
	    .time = time_of(line), .order = v->n_entries, .line = line};
	v->n_entries++;
	return 0;
}

static int
by_time(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static bool
wanted(const struct view *v, const char *name)
{
	char chain[SEGMENT_CHAIN_MAX];
	uint32_t n;

	if (!segment_parse(name, chain, &n))
		return false;
	for (size_t i = 0; i < v->n_files; i++) {
		if (strcmp(v->files[i].name, name) == 0)
			return false; /* open already */
	}
	return v->session == NULL || strcmp(v->session, chain) == 0;
}

static int
open_file(struct view *v, const char *name, size_t lines)
{
	struct tail *t;

	if (!wanted(v, name))
		return 0;
	int r = tail_open(dirfd(v->dir), name, lines, &t);
	if (r == ERR_NOT_FOUND || r == ERR_FORMAT)
		return 0;
	if (r != 0)
		return r;
	(void)snprintf(
	    v->files[v->n_files].name, sizeof(v->files[0].name), "%s", name);
	v->files[v->n_files++].tail = t;
	return 0;
}

/* Open what is new in the directory, at its last lines; the minter's first. */
static int
open_files(struct view *v, size_t lines)
{
	char name[SEGMENT_NAME_MAX];
	struct segments minter;
	struct dirent *d;
	int r = segments_find(dirfd(v->dir), "minter", &minter);

	for (uint32_t i = minter.first; r == 0 && i != 0 && i <= minter.last;
	     i++) {
		segment_name("minter", i, name);
		r = open_file(v, name, lines);
	}
	rewinddir(v->dir);
	while (
	    r == 0 && v->n_files < FILES_MAX && (d = readdir(v->dir)) != NULL)
		r = open_file(v, d->d_name, lines);
	return r;
}

static int
read_files(struct view *v)
{
	char chain[SEGMENT_CHAIN_MAX];
	uint32_t n;
	int r = 0;

	for (size_t i = 0; i < v->n_files && r == 0; i++) {
		if (!segment_parse(v->files[i].name, chain, &n))
			abort(); /* wanted() saw to that */
		v->chain = chain;
		r = tail_read(v->files[i].tail, take_line, v);
	}
	return r;
}

/* "act=who<for-whom" */
static void
print_list(const char *key, const json_t *list)
{
	char shown[256];
	const json_t *j;
	size_t i;

	json_array_foreach (list, i, j) {
		text_escape(span_str(json_string_value(j)), false, shown,
		    sizeof(shown));
		printf("%s%s%s%s", i == 0 ? " " : "", i == 0 ? key : "",
		    i == 0 ? "=" : "<", shown);
	}
}

/* What is known of a line, in the order in which people read it. */
static int
print_entry(const struct view *v, const json_t *line)
{
	static const char *const keys[] = {"session", "event", "decision",
	    "reason", "method", "host", "path", "grant", "credential", "status",
	    "how", "jti", "guest", "what", "family", "act"};
	char when[32] = "-", shown[1024];
	time_t t = (time_t)(time_of(line) / 1000);
	struct tm tm;

	if (v->cli->json)
		return cli_print_json(line);
	if (t > 0 && localtime_r(&t, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	if (printf("%s", when) < 0)
		return CLI_FAILED;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *j = json_object_get(line, keys[i]);
		if (json_is_string(j)) {
			text_escape(span_of(json_string_value(j),
					json_string_length(j)),
			    false, shown, sizeof(shown));
			printf(i < 2 ? " %s%s" : " %s=%s", i < 2 ? "" : keys[i],
			    shown);
		} else if (json_is_integer(j)) {
			printf(" %s=%lld", keys[i],
			    (long long)json_integer_value(j));
		} else if (json_is_array(j)) {
			print_list(keys[i], j);
		}
	}
	return putchar('\n') == EOF ? CLI_FAILED : CLI_OK;
}

/* Show the last most entries, forget all. */
static int
flush_entries(struct view *v, size_t most)
{
	size_t from = v->n_entries > most ? v->n_entries - most : 0;
	int r = 0;

	if (v->n_entries > 0)
		qsort(v->entries, v->n_entries, sizeof(*v->entries), by_time);
	for (size_t i = 0; i < v->n_entries; i++) {
		if (i >= from && r == 0)
			r = print_entry(v, v->entries[i].line);
		json_decref(v->entries[i].line);
	}
	free(v->entries);
	v->entries = NULL;
	v->n_entries = 0;
	return fflush(stdout) == 0 ? r : CLI_FAILED;
}

static void
view_free(struct view *v)
{
	for (size_t i = 0; v->files != NULL && i < v->n_files; i++)
		tail_free(v->files[i].tail);
	free(v->files);
	json_decref(v->sessions);
	if (v->dir != NULL)
		closedir(v->dir);
}

static int
audit_dir(struct cli *cli, char out[static PATH_MAX], struct cli_error *e)
{
	int r = paths_join(cli->paths.log, "audit", out);

	return r == 0 ? 0 : cli_error_from(e, r, "find the audit log", NULL);
}

/* "8h" ago, or a day and time of here. */
static int
read_since(const char *text, int64_t *ms, struct cli_error *e)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S",
	    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
	    "%Y-%m-%d"};
	uint64_t ago;

	if (text == NULL)
		return 0;
	if (grant_time_from_text(span_str(text), &ago) == 0) {
		*ms = ((int64_t)time(NULL) - (int64_t)ago) * 1000;
		return 0;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, forms[i], &tm);
		if (end == NULL || *end != '\0')
			continue;
		*ms = (int64_t)mktime(&tm) * 1000;
		return 0;
	}
	return cli_error(e, CLI_USAGE, "--since",
	    "as 30m, 8h, 7d or \"2026-11-27 15:00\"", "%s is no time", text);
}

int
audit_tail_run(struct cli *cli, const struct args *a)
{
	struct timespec nap = {.tv_nsec = NAP_NS};
	struct view v = {.cli = cli,
	    .session = args_value(a, "session"),
	    .guest = args_value(a, "guest"),
	    .family = args_value(a, "family")};
	struct cli_error e = {0};
	char path[PATH_MAX];
	uint64_t n;
	int r;

	if (args_number(a, "lines", 100000, 20, &n, &e) != 0 ||
	    read_since(args_value(a, "since"), &v.since, &e) != 0 ||
	    audit_dir(cli, path, &e) != 0)
		return cli_report(cli, &e);
	if (v.guest != NULL && v.session != NULL) {
		(void)cli_error(&e, CLI_USAGE, "read the audit log",
		    "hatcheck audit tail --help",
		    "--session and --guest exclude each other");
		return cli_report(cli, &e);
	}
	v.sessions = json_object();
	v.files = calloc(FILES_MAX, sizeof(*v.files));
	v.dir = opendir(path);
	if (v.dir == NULL || v.files == NULL || v.sessions == NULL) {
		view_free(&v);
		(void)cli_error(&e, CLI_NOT_FOUND, "read the audit log",
		    "hatcheck init", "%s: %s", path, strerror(errno));
		return cli_report(cli, &e);
	}
	for (size_t i = 0; i < 3; i++)
		v.match[i] = args_value(a, match_keys[i]);
	/* The last n that match can be anywhere. */
	r = open_files(&v, filtered(&v) ? SIZE_MAX : n);
	if (r == 0)
		r = read_files(&v);
	int shown = flush_entries(&v, n);
	while (r == 0 && shown == 0 && args_has(a, "follow")) {
		(void)nanosleep(&nap, NULL); /* shorter is fine */
		if ((r = open_files(&v, SIZE_MAX)) == 0)
			r = read_files(&v);
		shown = flush_entries(&v, SIZE_MAX);
	}
	view_free(&v);
	if (r == 0)
		return shown;
	(void)cli_error_from(&e, r, "read the audit log", "hatcheck doctor");
	return cli_report(cli, &e);
}

/* --- verify ----------------------------------------------------------- */

struct findings {
	struct cli *cli;
	json_t *list;
};

static void
on_finding(void *ctx, enum audit_note kind, const char *file, uint64_t line,
    const char *text)
{
	static const char *const words[] = {
	    [AUDIT_GOOD] = "good",
	    [AUDIT_WARNING] = "warning",
	    [AUDIT_BAD] = "bad",
	};
	struct findings *f = ctx;
	char name[512];

	text_escape(span_str(file), false, name, sizeof(name));
	if (f->cli->json)
		(void)json_array_append_new(f->list,
		    json_pack("{s:s, s:s, s:I, s:s}", "kind", words[kind],
			"file", name, "line", (json_int_t)line, "text", text));
	else if (line != 0)
		printf("%-7s %s:%llu: %s\n", words[kind], name,
		    (unsigned long long)line, text);
	else
		printf("%-7s %s: %s\n", words[kind], name, text);
}

static int
say_report(struct findings *f, const struct audit_report *r, bool good)
{
	json_t *j;

	if (!f->cli->json) {
		printf("%s: %llu lines in %llu files, %llu anchors; "
		       "%llu lines after the last anchors\n",
		    good ? "good" : "BAD", (unsigned long long)r->lines,
		    (unsigned long long)r->files,
		    (unsigned long long)r->anchors,
		    (unsigned long long)r->unanchored);
		return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
	}
	j = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:O}", "good", good,
	    "files", (json_int_t)r->files, "lines", (json_int_t)r->lines,
	    "anchors", (json_int_t)r->anchors, "unanchored",
	    (json_int_t)r->unanchored, "bad", (json_int_t)r->bad, "findings",
	    f->list);
	int code = j == NULL ? CLI_FAILED : cli_print_json(j);
	json_decref(j);
	return code;
}

int
audit_verify_run(struct cli *cli, const struct args *a)
{
	struct findings f = {.cli = cli, .list = json_array()};
	struct audit_report report = {0};
	struct cli_error e = {0};
	const char *keys = args_value(a, "keys");
	char path[PATH_MAX];
	int r, code;

	if (audit_dir(cli, path, &e) != 0)
		return cli_report(cli, &e);
	r = audit_verify(
	    a->n_words > 0 ? a->words[0] : path, keys, on_finding, &f, &report);
	if (r != 0 && r != ERR_CRYPTO) {
		(void)cli_error(&e,
		    r == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED,
		    "verify the audit log", "hatcheck doctor", "%s: %s",
		    a->n_words > 0 ? a->words[0] : path, err_text(r));
		json_decref(f.list);
		return cli_report(cli, &e);
	}
	code = say_report(&f, &report, r == 0);
	json_decref(f.list);
	return code != 0 ? code : r == 0 ? CLI_OK : CLI_CHECK_FAILED;
}
