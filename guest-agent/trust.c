/* SPDX-License-Identifier: ISC */
/*
 * `trust`: the session's root in the trust stores of this guest, and out of
 * them again. For guests of one session, a VM or a container: what is
 * installed is good for every program in it.
 * Trusts the host's root after api.h's check of its form.
 * A store whose tool is missing is named and left; one that fails, fails us.
 */
#include "guest-agent/verbs.h"

#include "guest-agent/api.h"
#include "guest-agent/files.h"
#include "guest-agent/session.h"
#include "guest-agent/text.h"
#include "guest-agent/tool.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In every store: so that the next session's root replaces this one's. */
#define NAME "hatcheck-session"
#define SYSTEM_DIR "/usr/local/share/ca-certificates"
#define SYSTEM_FILE SYSTEM_DIR "/" NAME ".crt"

static bool
is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The last line of what a tool said: mostly the one that matters. */
static const char *
last_line(struct text *t)
{
	char *nl;

	if (t->n == 0)
		return "it did not say why";
	while (t->n > 0 && t->p[t->n - 1] == '\n')
		t->p[--t->n] = '\0';
	nl = strrchr(t->p, '\n');
	return nl == NULL ? t->p : nl + 1;
}

/* Say how it went with a store; 0, or 1 when it failed. */
static int
told(const char *store, int status, struct text *said, const char *tool,
    const char *done)
{
	if (status == TOOL_ABSENT)
		printf("%s: left as it is: there is no %s here\n", store, tool);
	else if (status == 0)
		printf("%s: %s\n", store, done);
	else
		warn("%s: %s failed (%d): %s", store, tool, status,
		    last_line(said));
	return status != 0 && status != TOOL_ABSENT;
}

/* ------------------------------------------------------------- system */

static int
system_refresh(bool in)
{
	/* Fresh: else a root of the same name is in the bundle, but not found
	 * by its hash. */
	static const char *const words[] = {
	    "update-ca-certificates", "--fresh", NULL};
	struct text said = {.limit = TOOL_SAID};
	int status = tool_run(words, NULL, &said), bad;

	bad = told("system", status, &said, words[0],
	    in ? "trusts this session" : "trusts no session");
	text_free(&said);
	return bad;
}

static int
system_install(const char *root)
{
	if (!is_directory(SYSTEM_DIR)) {
		printf("system: left as it is: there is no " SYSTEM_DIR "\n");
		return 0;
	}
	if (files_replace(SYSTEM_FILE, root) != 0) {
		warn("system: cannot write " SYSTEM_FILE ": %s (next: as root)",
		    strerror(errno));
		return 1;
	}
	return system_refresh(true);
}

static int
system_remove(void)
{
	if (unlink(SYSTEM_FILE) == 0)
		return system_refresh(false);
	if (errno == ENOENT || errno == ENOTDIR) {
		printf("system: trusts no session\n");
		return 0;
	}
	warn("system: cannot remove " SYSTEM_FILE ": %s (next: as root)",
	    strerror(errno));
	return 1;
}

/* --------------------------------------------------------------- Java */

/* Everybody knows it: cacerts holds nothing that is secret. */
#define JAVA_PASSWORD "changeit"

/* What Debian's hook of update-ca-certificates calls ours; it does not hear
 * of removals. */
#define JAVA_HOOKED "debian:" NAME ".pem"

static int
java_call(const char *what, const char *alias, const char *store,
    const char *root, struct text *said)
{
	const char *const words[] = {"keytool", what, "-alias", alias,
	    "-keystore", store, "-storepass", JAVA_PASSWORD,
	    root != NULL ? "-noprompt" : NULL, NULL};

	return tool_run(words, root, said);
}

static int
java_one(const char *store, const char *root)
{
	struct text said = {.limit = TOOL_SAID};
	char name[PATH_MAX + 8];
	int status, bad;

	snprintf(name, sizeof(name), "java %s", store);
	/* They fail when there is none, too. */
	if (root == NULL)
		(void)java_call("-delete", JAVA_HOOKED, store, NULL, NULL);
	status = java_call("-delete", NAME, store, NULL, &said);
	if (status != TOOL_ABSENT && root != NULL) {
		text_free(&said);
		status = java_call("-importcert", NAME, store, root, &said);
	} else if (status != TOOL_ABSENT) {
		status = java_call("-list", NAME, store, NULL, NULL) == 0;
	}
	bad = told(name, status, &said, "keytool",
	    root ? "trusts this session" : "trusts no session");
	text_free(&said);
	return bad;
}

/* ---------------------------------------------------------------- NSS */

static int
nss_call(
    const char *what, const char *store, const char *root, struct text *said)
{
	const char *const words[] = {"certutil", what, "-d", store, "-n", NAME,
	    root != NULL ? "-a" : NULL, "-t", "C,,", NULL};

	return tool_run(words, root, said);
}

static int
nss_one(const char *store, const char *root)
{
	struct text said = {.limit = TOOL_SAID};
	char name[PATH_MAX + 8], db[PATH_MAX + 8];
	int status, bad;

	snprintf(name, sizeof(name), "nss %s", store);
	snprintf(db, sizeof(db), "sql:%s", store);
	status = nss_call("-L", db, NULL, NULL);
	if (status == 0) /* another session's, or ours to be removed */
		status = nss_call("-D", db, NULL, &said);
	else if (status != TOOL_ABSENT)
		status = 0;
	if (status == 0 && root != NULL)
		status = nss_call("-A", db, root, &said);
	bad = told(name, status, &said, "certutil",
	    root ? "trusts this session" : "trusts no session");
	text_free(&said);
	return bad;
}

/* ---------------------------------------------------------------- all */

/* Where the stores of each kind may be; %s is JAVA_HOME or HOME. */
static const struct place {
	const char *variable, *pattern, *file;
	int (*one)(const char *store, const char *root);
} places[] = {
    {NULL, "/etc/ssl/certs/java", "cacerts", java_one},
    {"JAVA_HOME", "/lib/security", "cacerts", java_one},
    {NULL, "/usr/lib/jvm/*/lib/security", "cacerts", java_one},
    {NULL, "/usr/lib/jvm/*/jre/lib/security", "cacerts", java_one},
    {NULL, "/opt/java/*/lib/security", "cacerts", java_one},
    {NULL, "/etc/pki/nssdb", "cert9.db", nss_one},
    {"HOME", "/.pki/nssdb", "cert9.db", nss_one},
    {"HOME", "/.mozilla/firefox/*", "cert9.db", nss_one},
};

#define STORES 64

struct stores {
	char *seen[STORES];
	size_t n;
};

/* Stores have several names: links to one file are one. */
static bool
is_new(struct stores *s, const char *path)
{
	char *real = realpath(path, NULL);

	for (size_t i = 0; real != NULL && i < s->n; i++) {
		if (strcmp(s->seen[i], real) == 0) {
			free(real);
			return false;
		}
	}
	if (real == NULL || s->n == STORES) {
		free(real);
		return false;
	}
	s->seen[s->n++] = real;
	return true;
}

/* NSS is told the directory, keytool the file. */
static int
one_store(const struct place *p, const char *path, const char *root)
{
	char *store = text_copy(path, strlen(path));
	int bad;

	if (p->one == nss_one)
		*strrchr(store, '/') = '\0';
	bad = p->one(store, root);
	free(store);
	return bad;
}

static int
one_place(const struct place *p, struct stores *s, const char *root)
{
	const char *base = p->variable ? getenv(p->variable) : "";
	char pattern[PATH_MAX];
	glob_t g = {0};
	int bad = 0;

	if (base == NULL || (p->variable != NULL && *base != '/') ||
	    snprintf(pattern, sizeof(pattern), "%s%s/%s", base, p->pattern,
		p->file) >= (int)sizeof(pattern))
		return 0;
	if (glob(pattern, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			if (is_new(s, g.gl_pathv[i]))
				bad |= one_store(p, g.gl_pathv[i], root);
	globfree(&g);
	return bad;
}

static int
all_places(const char *root)
{
	struct stores s = {0};
	int bad = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		bad |= one_place(&places[i], &s, root);
	for (size_t i = 0; i < s.n; i++)
		free(s.seen[i]);
	return bad;
}

int
verb_trust(const struct options *o)
{
	char *root;
	int bad;

	if (strcmp(o->words[0], "remove") == 0) {
		bad = system_remove();
		bad |= all_places(NULL);
	} else if (strcmp(o->words[0], "install") == 0) {
		root = session_root(
		    &o->channel, o->wait < 0 ? RUN_WAIT : o->wait, EXIT_FAILED);
		bad = system_install(root);
		bad |= all_places(root);
		free(root);
	} else {
		die(EXIT_USAGE, "trust: install or remove is wanted");
	}
	return bad || fflush(stdout) != 0 ? EXIT_FAILED : 0;
}
