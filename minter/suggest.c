/* SPDX-License-Identifier: ISC */
/* What for: POST grant.suggest: recent refusals as the grant lines that
 * would allow them, for a person to read. Trusts: nothing in the files (the
 * guest chose the paths). At a bound: leaves the rest out. */
#include "minter/api.h"

#include "keys/json.h"
#include "lib/segments.h"
#include "scope/grant_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL (256 * 1024) /* read of each file */
#define FILES_MAX 64	  /* newest first is not needed: live ones */
#define SUGGESTIONS_MAX 200

static const char *const reasons[] = {"host-not-granted", "method-not-granted",
    "path-not-granted", "hidden-slash", NULL};

static bool
may_be_granted(const char *reason)
{
	for (size_t i = 0; reasons[i] != NULL; i++) {
		if (reason != NULL && strcmp(reason, reasons[i]) == 0)
			return true;
	}
	return false;
}

/* What the session already uses for that host, if anything. */
static const char *
credential_for(const struct session *s, const char *host, unsigned port)
{
	for (size_t i = 0; s != NULL && i < s->grants.n; i++) {
		const struct grant *g = &s->grants.g[i];
		for (size_t j = 0; j < g->n_hosts; j++) {
			if (g->hosts[j].port == port &&
			    host_pattern_match(g->hosts[j].pattern, host))
				return g->credential;
		}
	}
	return "";
}

static void
count(
    json_t *list, const char *text, const char *credential, const char *reason)
{
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
	{
		if (strcmp(json_text(o, "text"), text) == 0 &&
		    strcmp(json_text(o, "credential"), credential) == 0) {
			json_int_t n =
			    json_integer_value(json_object_get(o, "count"));
			(void)json_object_set_new(
			    o, "count", json_integer(n + 1));
			return;
		}
	}
	if (json_array_size(list) < SUGGESTIONS_MAX)
		(void)json_array_append_new(
		    list, json_pack("{s:s, s:s, s:i, s:s}", "text", text,
			      "credential", credential, "count", 1, "reason",
			      reason));
}

static void
take_refusal(json_t *list, const json_t *o, const struct session *s)
{
	const char *method = json_text(o, "method"),
		   *path = json_text(o, "path"),
		   *reason = json_text(o, "reason");
	char host[HOST_MAX], text[2048];
	struct host canonical;
	uint64_t port = 443;

	if (!may_be_granted(reason) ||
	    json_text_copy(o, "host", host, sizeof(host)) != 0 ||
	    host_parse(span_str(host), &canonical) != 0 ||
	    json_u64(o, "port", UINT16_MAX, &port) == ERR_FORMAT || port == 0)
		return;
	/* A CONNECT that was refused tells no path; and where one hides a
	 * slash, nothing narrower would do. */
	if (method == NULL || strcmp(method, "CONNECT") == 0)
		method = "";
	if (path == NULL || path[0] != '/' ||
	    strcmp(reason, "hidden-slash") == 0)
		path = "";
	struct span p = span_of(path, strcspn(path, "?"));
	if (grant_to_text(span_str(method), canonical.name, (uint16_t)port, p,
		text, sizeof(text)) == 0)
		count(list, text,
		    credential_for(s, canonical.name, (unsigned)port), reason);
}

static void
take_lines(json_t *list, char *text, const struct session *s)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *o = json_strict(span_str(line));
		const char *event = json_text(o, "event");

		if (event != NULL && strcmp(event, "refused") == 0)
			take_refusal(list, o, s);
		json_decref(o);
	}
}

static void
take_file(json_t *list, int dirfd, const char *id, uint32_t number,
    const struct session *s)
{
	char *text = malloc(TAIL + 1);
	struct stat st;
	int fd = segment_read(dirfd, id, number);

	if (fd >= 0 && text != NULL && fstat(fd, &st) == 0) {
		off_t at = st.st_size > TAIL ? st.st_size - TAIL : 0;
		ssize_t n = pread(fd, text, TAIL, at);
		if (n > 0) {
			text[n] = '\0';
			take_lines(list, text, s);
		}
	}
	if (fd >= 0)
		close(fd);
	free(text);
}

struct files {
	json_t *list;
	struct minter *m;
	int dirfd;
	size_t n;
};

static int
each_session(void *ctx, const struct session_row *row)
{
	struct files *f = ctx;

	const struct session *live = minter_session_id(f->m, span_str(row->id));
	struct segments s;

	if (f->n++ >= FILES_MAX || segments_find(f->dirfd, row->id, &s) != 0)
		return 0;
	if (s.last > s.first)
		take_file(f->list, f->dirfd, row->id, s.last - 1, live);
	if (s.last > 0)
		take_file(f->list, f->dirfd, row->id, s.last, live);
	return 0;
}

void
api_suggest(void *ctx, struct admin_call *call, const json_t *body)
{
	static const char *const names[] = {"session", NULL};
	struct files f = {.m = ctx, .list = json_array()};
	char key[STATE_NAME_MAX];
	bool one = json_object_get(body, "session") != NULL;
	int r;

	if (!api_only(call, body, names) ||
	    (one && !api_text(call, body, "session", key, sizeof(key)))) {
		json_decref(f.list);
		return;
	}
	f.dirfd = open(
	    f.m->audit_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = one ? state_session_find(f.m->state, key, each_session, &f)
		: state_sessions(f.m->state, true, each_session, &f);
	if (f.dirfd >= 0)
		close(f.dirfd);
	if (r == 0) {
		admin_reply(call, json_pack("{s:o}", "suggestions", f.list));
		return;
	}
	json_decref(f.list);
	if (r == ERR_NOT_FOUND)
		admin_problem(call, 404, "no such session",
		    "hatcheck session list --all",
		    "No session has this id or guest name: %s.", key);
	else
		api_storage_problem(f.m, call);
}
